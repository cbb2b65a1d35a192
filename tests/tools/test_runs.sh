#!/bin/sh
# Records of runs: TensorBoard's files, run.json, and what `sgrun runs` says of them.
. "$(dirname "$0")/lib.sh"
cp "$root/tests/tools/tiny.net" .
train="$SGRUN train tiny.net -q -j 2 --set rooms=8"
tfevents="python3 $root/tests/tools/tfevents.py"

# TensorBoard: whole, stopped at an epoch and resumed, killed and resumed, started over, switched off.
expect 0 '' $train -o whole
expect 0 '^1 files, 52 values equal to the log, 2 panels' $tfevents whole
expect 75 'saved after step 4 of 8' $train -o parts --until 1
expect 0 '^1 files' $tfevents parts
expect 0 '' $train -o parts --resume
expect 0 '^2 files, 52 values' $tfevents parts
check 'a run in parts has the bits of a whole one' cmp whole/checkpoint.safetensors parts/checkpoint.safetensors
"$SGRUN" train tiny.net -q -j 2 -o killed -e 4 --set rooms=400 --save-every 1000 >out 2>err &
pid=$!
await killed 205
kill -STOP $pid # else it might end while the next commands look at it
expect 0 '^killed .* running +[123]/4' "$SGRUN" runs ls killed
expect 2 'still running' "$SGRUN" runs rm killed
# the last checkpoint is that of a whole epoch: what was said of later steps is void
kill -9 $pid
wait $pid 2>/dev/null
expect 0 '^killed .* died +[123]/4' "$SGRUN" runs ls killed
expect 0 '' "$SGRUN" train tiny.net -q -j 2 -o killed -e 4 --set rooms=400 --save-every 1000 --resume
expect 0 '^2 files' $tfevents killed
expect 0 '' $train -o killed --force
expect 0 '^1 files, 52 values' $tfevents killed
expect 0 '' $train -o none --no-tensorboard
if ls none/events* >/dev/null 2>&1; then fail '--no-tensorboard wrote a file'; else pass; fi

# Records: states, what differs, what may be removed.
expect 0 '^parts .* done +2/2' "$SGRUN" runs ls .
expect 0 'no runs in runs/' "$SGRUN" runs ls
expect 75 '' $train -o runs/wide -a width=12 --set lr=5e-3 --until 1
expect 6 '' $train -o runs/wild --set lr=1000 --set clip=0 --set schedule=constant --set rooms=40
expect 0 '^runs/wild .* diverged' "$SGRUN" runs ls
"$SGRUN" runs ls --json >out
"$SGRUN" runs show wide --json >shown
"$SGRUN" runs compare parts wide --json >compared
check 'the JSON of ls, show and compare' python3 - <<'P'
import json
ls = {run["directory"]: run for run in json.load(open("out"))}
assert ls["runs/wide"]["state"] == "stopped" and ls["runs/wide"]["exit_status"] == 75 and ls["runs/wild"]["exit_status"] == 6
show = json.load(open("shown"))
log = [json.loads(line) for line in open("runs/wide/log.jsonl")]
epoch = [line for line in log if "mean_loss" in line][-1]
assert show["log"] == [epoch] and abs(show["best"]["abs_rel"] - epoch["abs_rel"]) < 1e-8
assert show["bindings"] == {"width": "12"} and show["settings"]["optimizer.lr"] == 5e-3 and show["data"] == "rooms"
assert show["seconds"]["training"] > 0 and show["seconds"]["setup"] > 0 and show["host"] and show["started"].endswith("Z")
assert json.load(open("parts/run.json"))["sessions"] == 2
compared = json.load(open("compared"))
assert compared["differ"] == {"optimizer.lr": [0.01, 0.005], "arg.width": [None, "12"]}, compared["differ"]
m = compared["metrics"]
assert all(m[k]["better"] == ("A" if (m[k]["a"] > m[k]["b"]) == (k[:5] == "delta") else "B") for k in ("delta1", "rmse"))
P
expect 0 'arg.width +- +12' "$SGRUN" runs compare parts wide
expect 0 'best so far' "$SGRUN" runs show parts/
expect 4 'there is no run' "$SGRUN" runs show nowhere
expect 2 'takes two runs' "$SGRUN" runs compare parts
expect 2 'ls, show, compare and rm' "$SGRUN" runs look
mkdir plain
expect 4 'no run' "$SGRUN" runs rm plain
check 'what is no run stays' test -d plain
cp -r runs/wide whole/inner
expect 2 'holds 1 more' "$SGRUN" runs rm whole
expect 0 '' "$SGRUN" runs rm whole/inner whole wild
if [ -e whole ] || [ -e runs/wild ]; then fail 'rm left a run'; else pass; fi
report tools/runs
