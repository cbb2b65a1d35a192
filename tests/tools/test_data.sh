#!/bin/sh
# Data sets as a user meets them: rooms as files, manifests, lists, undeclared units, missing and broken files, NYU's
# layout, and training on each.
. "$(dirname "$0")/lib.sh"
cp "$root/tests/tools/tiny.net" .
train="$SGRUN train tiny.net -q -j 1 -e 1"

# Rooms as files: the same bits whoever makes them, resumed where it stopped.
expect 0 'rooms' "$SGRUN" data synth rooms -n 12 --width 64 --height 64 -q -j 2
expect 0 'again' "$SGRUN" data synth again -n 5 --width 64 --height 64 -q -j 1
rm again/depth/00003.png
expect 0 '' "$SGRUN" data synth again -n 12 --width 64 --height 64 -q -j 1
check 'rooms do not depend on threads or on stopping' diff -r rooms again
expect 2 'other rooms' "$SGRUN" data synth again -n 12 --width 80 --height 64
expect 0 '12 pairs, 0 broken' "$SGRUN" data check rooms
expect 0 'invalid: [0-9.]+ %' "$SGRUN" data check rooms -j 1
"$SGRUN" data check rooms --json >out 2>err
check 'data check --json is one JSON object' python3 -c '
import json; d = json.load(open("out"))
assert d["pairs"] == 12 and d["broken"] == 0 and d["sizes"] == [[64, 64, 12]] and d["pixels"] == 12 * 4096
assert sum(d["histogram"]) == d["pixels"] - d["invalid"] and d["least"] <= d["median"] <= d["most"]'
expect 0 'sheet.png' "$SGRUN" data view rooms -n 3 -o sheet.png
expect 0 'sheet.png' "$SGRUN" data view --split val -n 2 -o sheet.png --width 64 --height 64

# The manifest: written, believed, and found out when a file changes.
expect 0 'dataset.json' "$SGRUN" data init rooms
expect 2 'force' "$SGRUN" data init rooms
expect 0 'hashes: 12 pairs' "$SGRUN" data check rooms
expect 0 'threshold accuracy' $train --data rooms -o byman
cp rooms/depth/00001.png rooms/depth/00002.png
expect 4 '00002.png' "$SGRUN" data check rooms
expect 0 '' "$SGRUN" data init rooms --force
expect 0 '0 have changed' "$SGRUN" data check rooms

# How long the training waited for its data.
expect 0 'waited [0-9.]+ s for training data' "$SGRUN" train tiny.net -j 1 -e 1 --data rooms -o waits

# Lists: every pair is in one of them, the same whatever else is there, and they train.
expect 0 'val.csv' "$SGRUN" data split rooms -o lists --val 0.3 --test 0.1
check 'every pair is in one list' test "$(cat lists/*.csv | grep -c png)" = 12
check 'in one only' test "$(grep -h png lists/*.csv | cut -d, -f1 | sort -u | wc -l)" = 12
expect 0 '12 pairs, 0 broken' "$SGRUN" data check lists
expect 0 'threshold accuracy' $train --data lists/train.csv --data-val lists/val.csv -o bylists
expect 0 'delta1' "$SGRUN" eval bylists/weights.safetensors --data lists --split test
expect 2 'leave nothing' "$SGRUN" data split rooms -o lists --val 0.6 --test 0.5
expect 2 'needs --out' "$SGRUN" data split rooms

# Bad usage.
expect 2 "there is no 'data chek'" "$SGRUN" data chek rooms
expect 2 'needs a folder' "$SGRUN" data check
expect 2 'data import nyu' "$SGRUN" data import kitti a b
expect 2 'unexpected operand' "$SGRUN" data check rooms lists
expect 4 'no file or folder' "$SGRUN" data check nowhere
expect 4 'there is no file' "$SGRUN" data import nyu absent.mat out
expect 2 'must say what to train on' $train --data-val rooms -o x
expect 2 "there is no split 'tset'" "$SGRUN" eval bylists/weights.safetensors --data rooms --split tset

# Units are declared or refused with a guess; NYU's lists are millimetres. Depths here: 1 to 4 m by scene.
cat >make.py <<'P'
import os, struct, zlib

def png(path, depth, channels, bits, rows):
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 48, bits, channels, 0, 0, 0))
                + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))

lines = []
for scene in range(20):
    for i in range(2):
        mm = 1000 + 150 * scene
        rgb = b"".join(b"\0" + bytes((x * 3 + y + 12 * scene + c) % 256 for x in range(64) for c in range(3)) for y in range(48))
        depth = b"".join(b"\0" + struct.pack(">64H", *[0 if x < 4 else mm for x in range(64)]) for y in range(48))
        folder = "room_%04d%s" % (scene // 2, "ab"[scene % 2])
        png("nyu/sync/%s/rgb_%05d.jpg" % (folder, i), 0, 2, 8, rgb)
        png("nyu/sync/%s/sync_depth_%05d.png" % (folder, i), 0, 0, 16, depth)
        png("own/rgb/%02d_%d.png" % (scene, i), 0, 2, 8, rgb)
        png("own/depth/%02d_%d.png" % (scene, i), 0, 0, 16, depth)
        lines.append("/%s/rgb_%05d.jpg /%s/sync_depth_%05d.png 518.8579" % (folder, i, folder, i))
open("nyu/train.txt", "w").write("\n".join(lines) + "\n")
# A list with a missing file, an empty one and one that only decoding finds out.
os.makedirs("hole", exist_ok=True)
data = open("own/rgb/00_0.png", "rb").read()
open("hole/short.png", "wb").write(data[:200])
open("hole/empty.png", "wb").write(b"")
rows = ["../own/rgb/%02d_%d.png,../own/depth/%02d_%d.png" % (s, i, s, i) for s in range(20) for i in range(2)]
rows += ["gone.png,../own/depth/00_0.png", "empty.png,../own/depth/00_0.png", "short.png,../own/depth/00_0.png"]
open("hole/list.csv", "w").write("# depth_scale=1000\nrgb,depth\n" + "\n".join(rows) + "\n")
P
python3 make.py
expect 4 'this looks like millimetres' "$SGRUN" data check own
expect 4 'must be stated' "$SGRUN" data init own
expect 4 'this looks like millimetres' $train --data own -o x
if [ -e x/checkpoint.safetensors ]; then fail 'training began without knowing the unit'; else pass; fi
expect 0 'median 2.*6.25 %' sh -c "'$SGRUN' data check own --depth-scale 1000 | tr '\n' ' '"
expect 0 'too many values' "$SGRUN" data check own --depth-scale 100000
expect 0 '' "$SGRUN" data init own --depth-scale 1000
expect 0 '40 pairs, 0 broken' "$SGRUN" data check own
expect 0 'threshold accuracy' $train --data own -o byown
expect 0 '40 pairs, 0 broken' "$SGRUN" data check nyu
expect 0 '40 pairs, 0 broken' "$SGRUN" data check nyu/train.txt --data-root nyu/sync
expect 4 'none of the 36 pairs.*data-root' $train --data nyu/train.txt -o x
expect 0 'threshold accuracy' $train --data nyu/train.txt --data-root nyu/sync -o bynyu
expect 0 '4 pictures' "$SGRUN" eval bynyu/weights.safetensors --data nyu
expect 0 '40 pictures' "$SGRUN" eval bynyu/weights.safetensors --data nyu --split all -p slides

# Data of which nothing can be used is refused before the compiling, and says what it is.
mkdir -p none/rgb none/depth stray/Images
cp own/rgb/00_0.png none/rgb/0.png
cp rooms/depth/00001.png none/depth/0.png
cp own/rgb/00_1.png none/rgb/1.png
cp rooms/depth/00002.png none/depth/1.png
expect 4 'none of the first 1 pairs can be read.*64x48 pixels' $train --data none -o x
expect 4 '1 of 2 samples cannot be read|2 of 2 samples' "$SGRUN" data view none -o none.png
check 'broken samples are drawn as such' test -s none.png
rm own/dataset.json
expect 4 'none of the first .* depth maps has a depth between' $train --data own --depth-scale 10 -o x
expect 4 'it holds Images/' "$SGRUN" data check stray
printf 'picture,distance\nown/rgb/00_0.png,own/depth/00_0.png\n' >stray/list.csv
expect 4 "columns are called 'picture', 'distance'" "$SGRUN" data check stray/list.csv
mv none/rgb/1.png none/rgb/one.png && mv none/rgb/0.png none/rgb/zero.png
expect 4 "such as 'one' and '0'" "$SGRUN" data check none

# Missing files are named before the first step, broken ones skipped and counted, and limited.
expect 4 '3 of 43 pairs are broken' "$SGRUN" data check hole/list.csv
"$SGRUN" train tiny.net -j 1 -e 1 --data hole/list.csv --data-val rooms -o holes >out 2>err
code=$?
if [ $code = 0 ]; then pass; else fail "training with holes ended with $code: $(tail -3 err)"; fi
check 'missing files are counted' grep -q '2 of 43 pairs are left out' err
check 'and named' grep -q 'gone.png' err
check 'broken ones are passed over' grep -q "1 training samples could not be read.*short.png" err
check 'before the first step' sh -c 'test "$(grep -n "left out" err | cut -d: -f1)" -lt "$(grep -n "kernels a step" err | cut -d: -f1)"'
expect 4 'allowed: 0' $train --data hole/list.csv --data-val rooms -o none --max-bad 0
expect 2 'needs a number or a percentage' $train --data hole/list.csv --max-bad many -o x
expect 0 '1 pictures could not' "$SGRUN" eval holes/weights.safetensors --data hole/list.csv --split all
expect 4 'more than 0 samples' "$SGRUN" eval holes/weights.safetensors --data hole/list.csv --split all --max-bad 0%
report tools/data
