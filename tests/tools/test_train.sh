#!/bin/sh
# Training as a user does it: to the end, stopped and resumed, killed and resumed, on bad places and bad weights.
. "$(dirname "$0")/lib.sh"
cp "$root/tests/tools/tiny.net" .
train="$SGRUN train tiny.net -q -j 2"
same() { check "$1" cmp "$2/weights.safetensors" "$3/weights.safetensors"; check "$1 (moments)" cmp "$2/checkpoint.safetensors" "$3/checkpoint.safetensors"; }

expect 0 'threshold accuracy' $train -o whole
check 'the augmentation is named' grep -q '^augment flip: mirrored' .out
if [ "$(steps whole)" = 40 ]; then pass; else fail "a run of 40 steps logged $(steps whole)"; fi
expect 2 'holds a run already' $train -o whole
expect 4 'nothing to resume' $train -o nowhere --resume
expect 0 'threshold accuracy' $train -o again
same 'two equal runs give equal bits' whole again
expect 0 '' $train -j 1 -o single
same 'one thread gives the bits of two' whole single

# Less memory: the same bits, and the budget is that of the step and of validation together.
deep="$SGRUN train $root/tests/compiler/deep.net -j 2 -b 4 --epochs 2 --height 64 --width 64 --set rooms=8 --set validation_rooms=2"
expect 0 '' $deep -o roomy
expect 5 'validation takes another [0-9.]+ MB of --mem' $deep -o tight --mem 3M
budget=$(awk '/found to do with/ { for (i = 1; i < NF; i++) if ($i == "with" && $(i + 1) == "is") a = $(i + 2) } /takes another/ { b = $4 } END { print a + b + 0.2 "M" }' .err)
expect 0 'for want of memory [0-9]+ of the kernels run again' $deep -o tight --mem "$budget"
same 'training with less memory' roomy tight
expect 75 '' $deep -o both --time 0.001s
expect 0 '' $deep -o both --mem "$budget" --resume
same 'going on with less memory' roomy both

# Each step draws random numbers of its own, other ones for another seed. Here they are the loss.
sed -e 's/^  output depth/  output noise = if training { sum(random([1]), axes=[0]) } else { fill(shape=[], value=0) }\n&/' \
  -e 's/loss silog(depth, gt)/loss noise + 0 * silog(depth, gt)/' tiny.net >noisy.net
for seed in 0 1; do expect 0 '' "$SGRUN" train noisy.net -q -o noisy$seed --seed $seed --epochs 1 --set rooms=16; done
check 'random numbers differ from step to step and from seed to seed' python3 - <<'P'
import json
logs = [[json.loads(line) for line in open("noisy%d/log.jsonl" % seed)] for seed in (0, 1)]
drawn = [line["loss"] for log in logs for line in log if "grad_norm" in line]
assert len(drawn) == 16 and len(set(drawn)) == 16 and all(0 <= x < 1 for x in drawn), drawn
P

# An input that no data fill is not left at 0.
expect 3 "not the input 'preds' of meta_unet" "$SGRUN" train "$root/models/meta_unet.net" -q -o unfed --set batch=1 \
  --set height=64 --set width=96 --set rooms=2

# Nothing to train: everything is frozen.
expect 3 'are frozen' $train -o frozen --freeze '*'
expect 3 'are frozen' "$SGRUN" train "$root/models/stack.net" -q -o mean --arg variant=mean --arg 'bases=["bts"]' \
  --set batch=1 --set height=64 --set width=96 --set rooms=2

# Stopped by Ctrl-C: ends with 75 after saving, and goes on with the same bits.
$train -o stopped --epochs 2 >out 2>err &
pid=$!
await stopped 5
kill -INT $pid
wait $pid
code=$?
if [ $code = 75 ]; then pass; else fail "Ctrl-C ended with $code: $(cat err)"; fi
check 'it says how to go on' grep -q -- --resume err
expect 0 'threshold accuracy' $train -o stopped --resume
same 'a stopped and resumed run' whole stopped

# Killed without warning: goes on from the last checkpoint with the same bits.
$train -o killed --save-every 0 >out 2>err &
pid=$!
await killed 7
kill -9 $pid
wait $pid 2>/dev/null
expect 0 'threshold accuracy' $train -o killed --save-every 0 --resume
same 'a killed and resumed run' whole killed
expect 2 'other settings' $train -o killed --resume --set lr=0.5

# Weights: what eval and predict make of good, foreign, truncated and damaged files.
weights=whole/weights.safetensors
expect 0 'delta1' "$SGRUN" eval $weights --set validation_rooms=2
"$SGRUN" eval $weights --set validation_rooms=2 --baseline --json >out 2>err
check 'eval --json is one JSON object' python3 -c 'import json; d = json.load(open("out")); assert 0 <= d["delta1"] <= 1 and "constant_delta1" in d'
head -c 2000 $weights >short.safetensors
expect 7 'truncated' "$SGRUN" eval short.safetensors
head -c 3000 /dev/urandom >noise.safetensors
expect 7 'not a safetensors' "$SGRUN" eval noise.safetensors
python3 - <<'P'
data = bytearray(open("whole/weights.safetensors", "rb").read())
data[-9] ^= 64
open("flipped.safetensors", "wb").write(data)
P
expect 7 'damaged' "$SGRUN" eval flipped.safetensors

# A disk that fills up: a clear error, no half-written file.
(
  ulimit -f 8
  trap '' XFSZ
  $train -o full >out 2>err
)
code=$?
if [ $code = 4 ]; then pass; else fail "a full disk ended with $code: $(cat err)"; fi
if ls full/*.tmp >/dev/null 2>&1; then fail 'a full disk left a temporary file'; else pass; fi

# Patterns of parameters: those that fit nothing are refused with the nearest name, by the command line or the text.
expect 2 "did you mean 'head" $train -o rules --rate 'haed.*=0.1'
expect 2 'PATTERN=FACTOR' $train -o rules --rate 'head.*'
sed 's/augment flip/freeze down.*   rate heads.* 0.1/' tiny.net >rules.net
expect 3 "rules.net:.*rate heads.\\*: no parameter" "$SGRUN" train rules.net -q -o rules
expect 0 '' $train -o rules --set rooms=4 --freeze '*' --tune 'head.*' --rate 'head.bias=0' --decay 'head.*=0'
expect 0 '' $train -o start --set rooms=4 --set lr=0
check 'frozen parameters and those of rate 0 stay, the others move' python3 - <<'P'
import json, struct
def read(path):
    data = open(path, "rb").read()
    size = struct.unpack("<Q", data[:8])[0]
    head = json.loads(data[8:8 + size])
    return {k: data[8 + size + v["data_offsets"][0]:8 + size + v["data_offsets"][1]]
            for k, v in head.items() if k != "__metadata__" and "running" not in k and not k.startswith("adamw")}
a, b = read("start/checkpoint.safetensors"), read("rules/checkpoint.safetensors")
assert sorted(k for k in b if a[k] != b[k]) == ["head.weight"], [k for k in b if a[k] != b[k]]
P

report tools/train
