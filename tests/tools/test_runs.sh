#!/bin/sh
# Records of runs: TensorBoard's files.
. "$(dirname "$0")/lib.sh"
cp "$root/tests/tools/tiny.net" .
train="$SGRUN train tiny.net -q -j 2 --set rooms=8"
tfevents="python3 $root/tests/tools/tfevents.py"
steps() { grep -c grad_norm "$1/log.jsonl" 2>/dev/null || true; }
await() {
  for _ in $(seq 600); do
    [ "$(steps "$1")" -ge "$2" ] 2>/dev/null && return 0
    sleep 0.05
  done
  return 1
}

# TensorBoard: whole, stopped at an epoch and resumed, killed and resumed, started over, switched off.
expect 0 '' $train -o whole
expect 0 '^1 files, 52 values equal to the log, 2 panels' $tfevents whole
expect 75 'stopped after step 4 of 8' $train -o parts --until 1
expect 0 '^1 files' $tfevents parts
expect 0 '' $train -o parts --resume
expect 0 '^2 files, 52 values' $tfevents parts
check 'a run in parts has the bits of a whole one' cmp whole/checkpoint.safetensors parts/checkpoint.safetensors
"$SGRUN" train tiny.net -q -j 2 -o killed --set rooms=400 --save-every 1000 >out 2>err &
pid=$!
await killed 205 # the last checkpoint is that of epoch 1: what was said of later steps is void
kill -9 $pid
wait $pid 2>/dev/null
expect 0 '' "$SGRUN" train tiny.net -q -j 2 -o killed --set rooms=400 --save-every 1000 --resume
expect 0 '^2 files' $tfevents killed
expect 0 '' $train -o killed --force
expect 0 '^1 files, 52 values' $tfevents killed
expect 0 '' $train -o none --no-tensorboard
if ls none/events* >/dev/null 2>&1; then fail '--no-tensorboard wrote a file'; else pass; fi
report tools/runs
