#!/bin/sh
# A study as a user runs it: to the end, stopped and gone on with, on rooms and on a tree in the layout of NYU Depth v2.
. "$(dirname "$0")/lib.sh"
cp "$root/tests/tools/tiny_study.net" study.net
study="$SGRUN study study.net -j 2"
python=$(command -v /usr/bin/python3 || command -v python3)

expect 0 'whole/report.html' $study -o whole --repeat 2 --gallery 2
cat >look.py <<'P'
import csv, html.parser, json, sys
directory = sys.argv[1]
report = json.load(open(directory + "/report.json"))
labels = [row["label"] for row in report["rows"]]
assert labels == ["Narrow", "Wide", "Mean", "SG: <D>", "Tuned", "From nothing"], labels
rows = {row["label"]: row for row in report["rows"]}
assert [row["base"] for row in report["rows"]] == [True, True, False, False, False, False]
assert rows["Mean"]["trained"] == 0 and rows["Mean"]["train_seconds"] == [0.0] * report["repeats"]
assert rows["SG: <D>"]["trained"] == 2 * 5 * 9 + 2 and rows["Tuned"]["trained"] == rows["Tuned"]["parameters"]
assert rows["Narrow"]["parameters"] == 3 * 3 + 3 + 6 * 3 * 9 + 6 + 12 + 6 * 9 + 1
assert len({json.dumps(row["test"]) for row in report["rows"]}) == 6, "two parts have the same figures"
folders = {"Narrow": "01-Narrow", "Wide": "02-Wide", "Mean": "03-Mean", "SG: <D>": "04-SG-D"}
for label, folder in folders.items():
    for kind in "test", "validation":
        means = []
        for seed in range(1, report["repeats"] + 1):
            with open(f"{directory}/seed{seed}/{folder}/{kind}.csv") as file:
                values = [float(row["abs_rel"]) for row in csv.DictReader(file)]
            means.append(sum(values) / len(values))
        got = rows[label][kind]["abs_rel"]
        assert abs(got["mean"] - sum(means) / len(means)) < 1e-6, (label, kind, got, means)
for d in report["differences"]:
    if d["metric"] == "abs_rel":
        want = rows[d["a"]]["test"]["abs_rel"]["mean"] - rows[d["b"]]["test"]["abs_rel"]["mean"]
        assert abs(d["difference"] - want) < 1e-6 and d["low"] <= d["difference"] <= d["high"], d
page = open(directory + "/report.html").read()
class Look(html.parser.HTMLParser):
    tables = images = charts = 0
    def handle_starttag(self, tag, attributes):
        self.tables += tag == "table"
        self.charts += tag == "svg"
        for key, value in attributes:
            assert key not in ("href", "srcset") and not (key == "src" and not value.startswith("data:image/png;base64,")), value
            self.images += key == "src"
look = Look()
look.feed(page)
assert look.images == int(sys.argv[2]) and look.charts == 2 and look.tables >= 4, (look.images, look.charts, look.tables)
assert "SG: &lt;D&gt;" in page and "<D>" not in page
P
check 'the report agrees with the figures of each picture' $python look.py whole 2
check 'best is bold' grep -q '\*\*0\.' whole/report.md
check 'the mean has its bases'\'' weights' $python - <<'P'
import json, struct
def read(path):
    data = open(path, "rb").read()
    n = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + n])
    return {k: data[8 + n + v["data_offsets"][0]:8 + n + v["data_offsets"][1]] for k, v in header.items() if k != "__metadata__"}
mean, narrow, wide = (read(f"whole/seed2/{part}/weights.safetensors") for part in ("03-Mean", "01-Narrow", "02-Wide"))
assert mean == {**{"narrow." + k: v for k, v in narrow.items()}, **{"wide." + k: v for k, v in wide.items()}}
frozen = read("whole/seed2/04-SG-D/weights.safetensors")
kept = {k: v for k, v in mean.items() if not k.endswith("num_batches_tracked")} # a frozen norm counts nothing
assert all(frozen[k] == v for k, v in kept.items()) and len(frozen) == len(kept) + 2
P

# Stopped in the middle; the same command goes on and ends with the same weights.
$study -o stopped --gallery 0 >out 2>err &
pid=$!
for _ in $(seq 600); do
  [ -e stopped/seed1/02-Wide/trained.txt ] && break
  sleep 0.05
done
expect 4 'another sgrun works' $study -o stopped --gallery 0
kill -INT $pid
wait $pid
code=$?
if [ $code = 75 ]; then pass; else fail "Ctrl-C ended a study with $code: $(cat err)"; fi
check 'it says how to go on' grep -q 'the same command goes on' err
expect 0 'stopped/report.md' $study -o stopped --gallery 0
for part in 01-Narrow 02-Wide 04-SG-D 05-Tuned 06-From-nothing; do
  check "a stopped study: $part" cmp whole/seed1/$part/weights.safetensors stopped/seed1/$part/weights.safetensors
done
expect 2 'holds another study' $study -o stopped --set lr=1
expect 2 'holds another study' $study -o stopped --bagging

# A pretrained encoder goes into every encoder that no base brings along.
$python - <<'P'
import json, struct
tensors = {"stem.weight": [1.0 if i % 4 == 0 else 0.0 for i in range(9)], "stem.bias": [0.0] * 3}
header, data = {}, b""
for name, values in tensors.items():
    shape = [3, 3, 1, 1] if len(values) == 9 else [3]
    header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + 4 * len(values)]}
    data += struct.pack(f"<{len(values)}f", *values)
text = json.dumps(header).encode()
open("encoder.safetensors", "wb").write(struct.pack("<Q", len(text)) + text + data)
P
expect 0 'encoded/report.md' $study -o encoded --encoder encoder.safetensors --gallery 0
initial() { grep -c 'encoder.safetensors: 2 tensors for' "encoded/seed1/$1/log.txt" || true; }
for part in '1 01-Narrow' '1 02-Wide' '0 05-Tuned' '2 06-From-nothing'; do
  if [ "$(initial "${part#* }")" = "${part% *}" ]; then pass; else fail "encoders of $part: $(initial "${part#* }")"; fi
done
expect 4 'no-such' $study -o bad --encoder no-such.safetensors

# What can be wrong.
expect 3 'has no study' "$SGRUN" study "$root/models/bts.net" -o bad
expect 3 "did you mean 'tiny'" $study --name tinny -o bad
expect 2 'such as narrow=0.25' $study --gap basis=0.5 -o bad
expect 2 "no protocol 'nyu'" $study -p nyu -o bad
expect 4 '' $study --data nowhere -o bad
expect 2 'cannot be shared out among' $study --devices cpu:0-9 -o crowd
expect 4 '' $study -o /dev/null/bad
sed 's/"SG: <D>" = pair/"SG: <D>" = pear/' study.net >typo.net
expect 3 "did you mean 'pair'" "$SGRUN" study typo.net -o bad

# The published command on a tree in the layout of NYU Depth v2, with what the slides leave open.
for split in train test; do "$SGRUN" data synth made_$split --split $split -n 6 --width 640 --height 480 -q >/dev/null; done
i=0
for split in train test; do
  for rgb in made_$split/rgb/*.png; do
    case $split in train) place=nyu/sync/kitchen_000$i ;; *) place=nyu/official_splits/test/kitchen ;; esac
    name=$(basename "$rgb" .png) i=$((i + 1))
    mkdir -p $place
    cp "$rgb" "$place/rgb_$name.jpg" # read by content
    cp "made_$split/depth/$name.png" "$place/sync_depth_$name.png"
  done
done
expect 0 'nyu-study/report.html' $study --data nyu --protocol slides --bagging --gap wide=0.5 -o nyu-study --gallery 1 --devices cpu:0-1
check 'the report of the tree' $python look.py nyu-study 1
check 'six test pictures' grep -q '"test_pictures":6' nyu-study/report.json
check 'it says what was asked' grep -q 'a gap between base learners on purpose: wide=0.5' nyu-study/report.md
check 'it says where it was computed' grep -q 'threads, devices cpu:0-1' nyu-study/report.md
check 'batches were shared out' grep -q '^.*2 devices, ' nyu-study/seed1/01-Narrow/log.txt
if [ "$(grep -c grad_norm nyu-study/seed1/02-Wide/log.jsonl)" = "$(grep -c grad_norm nyu-study/seed1/01-Narrow/log.jsonl)" ]; then pass
else fail 'the gap halves the epochs of one base'; fi
report study
