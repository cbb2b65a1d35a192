#!/bin/sh
# The training recipe beyond plain steps: what happens when training fails, accumulation, averages, early ends.
. "$(dirname "$0")/lib.sh"
cp "$root/tests/tools/tiny.net" .
train="$SGRUN train tiny.net -q -j 2"
cat >tensors.py <<'P'
import json, struct
def read(path, metadata=False):
    data = open(path, "rb").read()
    size = struct.unpack("<Q", data[:8])[0]
    head = json.loads(data[8:8 + size])
    if metadata: return head["__metadata__"]
    return {k: struct.unpack("<%df" % ((v["data_offsets"][1] - v["data_offsets"][0]) // 4),
                             data[8 + size + v["data_offsets"][0]:8 + size + v["data_offsets"][1]])
            for k, v in head.items() if k != "__metadata__" and v["dtype"] == "F32"}
P

# A learning rate beyond reason: the step is not applied, and is kept with all that repeats it.
expect 6 'smaller --set lr' $train -o wild --set lr=1000 --set clip=0 --set schedule=constant
expect 6 'losses.net:[0-9]+:.*the result of log' "$SGRUN" replay wild/diverged
check 'the weights before the step are finite' python3 -c '
import math
from tensors import read
assert all(math.isfinite(x) for v in read("wild/diverged/checkpoint.safetensors").values() for x in v)'

# A loss that takes the logarithm of a number which turns negative: its place, its operand, and the samples are named.
sed -e 's/loss silog(depth, gt)/loss silog(depth, gt) + 1e-3 * pull(depth)/' \
  -e 's/^# A network.*/module pull(x: f32[N, one, H, W]) { return sum(log(9 - x), axes=[0, 1, 2, 3]) \/ (N * H * W) }\n/' tiny.net >nan.net
nan="$SGRUN train nan.net -q -j 2 -o nan --set lr=0.3 --set schedule=constant"
expect 6 'samples room [0-9]+ of seed 1' $nan
expect 6 'nan.net:[0-9]+:[0-9]+: error: the first tensor that is not finite is the result of log' $nan --force
expect 6 'operand 1, .*lies in -' "$SGRUN" replay nan/diverged
expect 6 'nan.net:[0-9]+.*the result of log' "$SGRUN" replay nan/diverged --target reference
check 'README, batch and log are there' python3 -c '
import json, math
from tensors import read
text = open("nan/diverged/README.txt").read()
assert "sgrun replay nan/diverged" in text and text.count("of seed 1") == 2
batch = read("nan/diverged/batch.safetensors")
assert sorted(batch) == ["gt", "hyper", "random_key", "rgb"] and len(batch["rgb"]) == 2 * 3 * 64 * 64 and max(batch["gt"]) > 0.5
assert read("nan/diverged/batch.safetensors", True)["sgc.samples"] in text
assert int(read("nan/diverged/checkpoint.safetensors", True)["sgc.step"]) == sum("grad_norm" in l for l in open("nan/log.jsonl")) > 1
assert json.loads(open("nan/log.jsonl").readlines()[-1])["stop"] == "diverged"
assert all(math.isfinite(x) for v in read("nan/diverged/checkpoint.safetensors").values() for x in v)'
expect 4 'checkpoint.safetensors' "$SGRUN" replay nowhere

# Predictions that are the same everywhere: said loudly at once, and the end after three validations.
sed 's/resize(half/resize(0 * half + 0.3/' tiny.net >flat.net
flat="$SGRUN train flat.net -q --set rooms=4 --epochs 5"
expect 6 'WARNING.*depth.*the same everywhere: 3 m' $flat -o flat
check 'after three of five epochs' test "$(grep -c '"collapsed":[123],' flat/log.jsonl)" = 3
expect 0 'WARNING' $flat -o flat --force --set collapse_patience=0

# Accumulation: two parts make the step of the whole batch where the loss is a mean over samples and nothing is normed.
sed -e 's/ |> batch_norm() @norm//' -e 's/ |> dropout(0.1)//' -e 's/loss silog(depth, gt)/loss sum(distance(depth, gt), axes=[0, 1, 2, 3]) \/ (N * H * W)/' \
  -e 's/^# A network.*/module distance(a, b) { return (a - b) * (a - b) }\n/' tiny.net >mean.net
mean="$SGRUN train mean.net -q --batch 4 --set rooms=10"
expect 0 '' $mean -o one
expect 0 'in 2 parts of 2 at 64x64, 2 epochs of 2 steps' "$SGRUN" train mean.net --batch 4 --set rooms=10 -o two --set accumulate=2
check 'two parts train as one batch' python3 -c '
from tensors import read
one, two = read("one/checkpoint.safetensors"), read("two/checkpoint.safetensors")
assert any(k.startswith("accumulated.") for k in two)
worst = max(abs(a - b) / (1e-3 + abs(a)) for k in one if not k.startswith("adamw") for a, b in zip(one[k], two[k]))
assert 0 < worst < 1e-3, worst
moved = max(abs(a - b) for a, b in zip(one["head.weight"], two["adamw.m.head.weight"]))
assert moved > 1e-3'
expect 2 'equal parts' $mean -o three --set accumulate=3

# Averages: validated and kept as weights, while training goes on with the parameters themselves.
expect 0 '' $train -o averaged --set ema=0.9 --set rooms=8 --set accumulate=2 --set bootstrap=1
check 'the weights are the averages' python3 -c '
from tensors import read
from math import isclose
all, weights = read("averaged/checkpoint.safetensors"), read("averaged/weights.safetensors")
best = [i for i, line in enumerate(l for l in open("averaged/log.jsonl") if "mean_loss" in l) if "\"best\":true" in line][-1]
assert not any(k.startswith(("ema.", "adamw.", "accumulated.")) for k in weights)
assert all["ema.head.weight"] != all["head.weight"] and "ema.norm.running_mean" not in all
assert best != 1 or all["ema.head.weight"] == weights["head.weight"]'
expect 0 'delta1' "$SGRUN" eval averaged/weights.safetensors --set validation_rooms=2

# With all of it, a run killed within a step goes on with the same bits.
all="--set ema=0.9 --set accumulate=2 --set rooms=16 --set bootstrap=1 --epochs 3"
expect 0 '' $train $all -o whole
$train $all -o killed --save-every 0 >out 2>err &
pid=$!
for _ in $(seq 600); do
  [ "$(grep -c grad_norm killed/log.jsonl 2>/dev/null)" -ge 5 ] 2>/dev/null && break
  sleep 0.02
done
kill -9 $pid
wait $pid 2>/dev/null
expect 0 '' $train $all -o killed --resume
check 'killed and resumed' cmp whole/checkpoint.safetensors killed/checkpoint.safetensors
check 'killed and resumed (weights)' cmp whole/weights.safetensors killed/weights.safetensors

# Ends before the last epoch: by patience, in good order; by the clock, to be resumed.
patient="$SGRUN train flat.net -o patient --set rooms=4 --epochs 50 --set patience=2 --set collapse_patience=0"
expect 0 'threshold accuracy' $patient -q
check 'three epochs: the first is the best' test "$(grep -c mean_loss patient/log.jsonl)" = 3
check 'the log says why' grep -q '"stop":"patience"' patient/log.jsonl
expect 0 'validations without a better abs_rel' $patient --resume
expect 75 'out of time.*--resume' $train -o timed --set rooms=4 --time 0.001s
expect 0 'threshold' $train -o timed --set rooms=4 --resume
check 'a resumed log does not speak of the stop' test "$(grep -c stop timed/log.jsonl)" = 0
expect 2 '90m' $train -o timed --time soon
expect 2 '90m' $train -o timed --time 5d
# The range test: a curve that falls and explodes, read as it says; nothing of a run is touched.
sed 's/ |> sigmoid()//' mean.net >open.net
expect 0 'suggestion: --set lr=.*' "$SGRUN" lr-find open.net -q --batch 4 --to 1000 --set clip=0 -o found
check 'the figures are those of the rule' python3 -c '
import json, math
d = json.load(open("found/lr_find.json"))
steps = d["steps"]
assert d["clear"] and d["end"] == "the loss exploded" and 20 < len(steps) < 100, d["end"]
ratios = [math.log(b["lr"] / a["lr"]) for a, b in zip(steps, steps[1:])]
assert max(ratios) - min(ratios) < 1e-6 and abs(ratios[0] - math.log(1e10) / 99) < 1e-6
s = w = 0
for i, step in enumerate(steps):
    s, w = 0.9 * s + 0.1 * step["loss"], 0.9 * w + 0.1
    assert abs(step["smoothed"] - s / w) < 1e-6
lowest = min(steps[5:], key=lambda x: x["smoothed"])
assert lowest["lr"] == d["lowest"] and abs(d["suggestion"] / d["lowest"] - 0.1) < 1e-6
assert steps[-1]["smoothed"] > 4 * lowest["smoothed"]
assert 1e-5 < d["suggestion"] < 0.1'
check 'a curve' grep -q 'suggestion' found/lr_find.svg
check 'no run' test ! -e found/checkpoint.safetensors
expect 2 'must be larger' "$SGRUN" lr-find mean.net --from 1 --to 0.1
expect 6 'begin lower' "$SGRUN" lr-find tiny.net -q --from 1e5 --to 1e6 --set clip=0 -o found
report tools/recipe
