#!/bin/sh
# Sweeps as a user runs them: whole, by several processes, killed, stopped and gone on with.
. "$(dirname "$0")/lib.sh"
cp "$root/tests/tools/tiny.net" .
sweep="$SGRUN sweep tiny.net -q -j 1 --set rooms=8 --no-tensorboard"
# The parameters, states, epochs and values of a sweep's trials, in order.
trials() {
  "$SGRUN" sweep "$1" -q --json | python3 -c '
import json, sys
for t in sorted(json.load(sys.stdin)["trials"], key=lambda t: t["trial"]):
    print(t["trial"], t["state"], t["epochs"], t["value"], t["params"])'
}

# A grid: settings and a model's parameter.
expect 0 '^ +1 +[0-9]+ done' $sweep --name grid --grid lr=1e-2,1e-3 --grid arg.width=4,8
trials grid >out
check 'a grid in its order' test "$(sed 's/.*{/{/' out | sed -n 2p)" = "{'lr': '1e-2', 'arg.width': '8'}"
check 'trials were trained as their parameters say' grep -q '"width":."4"' sweeps/grid/trials/3/run.json
expect 0 'sweeps/grid/trials/1 ' "$SGRUN" runs ls sweeps
$SGRUN train tiny.net -q -j 1 --set rooms=8 --set lr=1e-3 -o alone >/dev/null
check 'a trial has the bits of a run' python3 - <<'P'
a, b = (open(p + "/checkpoint.safetensors", "rb").read() for p in ("alone", "sweeps/grid/trials/4"))
size = lambda x: 8 + int.from_bytes(x[:8], "little")
assert a[size(a):] == b[size(b):] and len(a) - size(a) > 1000
P

# Random draws with halving: one process, and two at once, come to the same.
halving="--random lr=log(1e-4,1e-1) --random clip=uniform(0.1,1) --trials 6 --halving --eta 2 -e 4"
expect 0 '' $sweep --name one $halving
$sweep --name two $halving >out1 2>&1 &
first=$!
$sweep --name two $halving >out2 2>&1 &
second=$!
wait $first; code1=$?
wait $second; code2=$?
if [ "$code1$code2" = 00 ]; then pass; else fail "two processes ended with $code1 and $code2: $(cat out1 out2)"; fi
trials one >one
trials two >two
check 'one process and two come to the same' cmp one two
check 'six, three, one' test "$(grep -c ' 1 0\.' one) $(grep -c ' dropped 2 ' one) $(grep -c ' done 4 ' one)" = '3 2 1'
expect 0 '' $sweep --name seed $halving --sweep-seed 2
trials seed >seed
check 'another seed draws other trials' sh -c '! cmp -s one seed'

# Killed in the middle of a trial; another process takes it up. Stopped by Ctrl-C; goes on by the name alone.
long="--random lr=log(1e-4,1e-2) --trials 3 --set rooms=400"
expect 0 '' $sweep --name whole $long
$sweep --name killed $long >out1 2>&1 &
first=$!
await sweeps/killed/trials/1 20
kill -9 $first
wait $first 2>/dev/null
$sweep --name killed $long >out2 2>err &
second=$!
await sweeps/killed/trials/2 20
kill -INT $second
wait $second
code=$?
if [ $code = 75 ]; then pass; else fail "Ctrl-C ended with $code: $(cat err)"; fi
check 'it says how to go on' grep -q 'sgrun sweep killed' err
check 'the stopped trial has saved' grep -q '"state":."stopped"' sweeps/killed/trials/2/run.json
expect 0 '^best: sweeps/killed' "$SGRUN" sweep killed -q -j 2
trials whole >one
trials killed >two
check 'killed, stopped and resumed comes to the same' cmp one two

# A trial that diverges leaves the others alone.
expect 0 ' failed ' $sweep --name wild --grid lr=1e-2,1000 --set clip=0 --set schedule=constant --set rooms=40
expect 1 'no trial came to a value' $sweep --name lost --grid lr=1000 --set clip=0 --set schedule=constant --set rooms=40

# What cannot be meant.
expect 2 'another definition' $sweep --name grid --grid lr=1e-2
expect 2 'belongs to the definition' "$SGRUN" sweep grid --grid lr=1
expect 4 'there is no sweep' "$SGRUN" sweep nowhere
expect 2 'nothing varies' $sweep --name x
expect 2 "unknown setting 'learning'" $sweep --name x --grid learning=1
expect 2 "setting 'optimizer.lr' is a number" $sweep --name x --grid lr=fast
expect 2 "no parameter 'depth'" $sweep --name x --grid arg.depth=1
expect 2 'fixes what the sweep varies' $sweep --name x --batch 2 --grid batch=2,4
expect 2 "did you mean 'abs_rel'" $sweep --name x --grid lr=1 --metric absrel
expect 2 'belong to --halving' $sweep --name x --grid lr=1 --eta 2
expect 2 'log\(LOW,HIGH\)' $sweep --name x --random lr=gauss
if [ -e sweeps/x ]; then fail 'a refused sweep left a directory'; else pass; fi
report tools/sweep
