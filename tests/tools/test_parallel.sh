#!/bin/sh
# Training on several devices, processes and hosts: the same bits however devices are spread, and peers that fail.
. "$(dirname "$0")/lib.sh"
cp "$root/tests/tools/tiny.net" .
train="$SGRUN train tiny.net -q --no-tensorboard --set rooms=20 --set validation_rooms=3 -b 10 -e 5"
long="$SGRUN train tiny.net -q --no-tensorboard --set rooms=400 --set validation_rooms=3 -b 4 -e 4 --save-every 0.2"
same() { check "$1" cmp "$2/weights.safetensors" "$3/weights.safetensors"; check "$1 (moments)" cmp "$2/checkpoint.safetensors" "$3/checkpoint.safetensors"; }
child() { cut -d ' ' -f "$2" "/proc/$1/task/$1/children"; } # the N-th child of a process
says() { # WHAT FILE PATTERN
  if grep -qE -- "$3" "$2"; then pass; else fail "$1: no '$3' in"; head -20 "$2"; fi
}
# ended WHAT PID CODE: waits for it.
ended() {
  wait "$2"
  code=$?
  if [ "$code" = "$3" ]; then pass; else fail "$1: exit status $code, expected $3"; head -20 err; fi
}

if command -v mpirun >/dev/null; then
  mpi="mpirun --oversubscribe --bind-to none"
  [ "$(id -u)" = 0 ] && mpi="$mpi --allow-run-as-root"
else
  mpi=
fi

# ---- the same bits

expect 0 'threshold accuracy' $train -o one
expect 0 'threshold accuracy' $train -o 1x8 --devices cpu:0-7
expect 0 '' $train -o tcp4x2 --ranks 4 --devices cpu:0,1 --bucket 0.001
same '1x8 and 4x2 devices' 1x8 tcp4x2
if [ -n "$mpi" ]; then
  expect 0 'threshold accuracy' $mpi -n 2 $train -o 2x4 --devices cpu:0-3
  expect 0 '' $mpi -n 4 $train -o 4x2 --devices cpu:0-1
  expect 0 '' $mpi -n 8 $train -o 8x1
  same '1x8 and 2x4 devices' 1x8 2x4
  same '1x8 and 4x2 devices by MPI' 1x8 4x2
  same '1x8 and 8x1 devices by MPI' 1x8 8x1
else
  skipped=$((skipped + 9))
fi
check 'ten steps on eight devices are those of one, up to rounding' python3 - <<'P'
import json
one, eight = [[json.loads(line) for line in open(run + "/log.jsonl")] for run in ("one", "1x8")]
assert len(one) == len(eight) == 15
for a, b in zip(one, eight):
    for key in ("loss", "grad_norm", "mean_loss", "delta1", "abs_rel", "rmse"):
        assert key not in a or abs(a[key] - b[key]) <= 2e-3 * abs(a[key]) + 2e-3, (a["step"], key, a[key], b[key])
assert abs(one[0]["loss"] - eight[0]["loss"]) < 1e-5 and abs(one[0]["grad_norm"] - eight[0]["grad_norm"]) < 1e-4
P

# Checkpoints fit any number of devices, and go on bit for bit on as many.
expect 75 '' $train -o part --devices cpu:0-7 --until 2
cp -r part other
expect 0 '' $train -o part --devices cpu:0-7 --resume
same 'stopped and resumed on eight devices' 1x8 part
expect 0 '' $train -o other --ranks 2 --resume
if [ "$(steps other)" = 10 ]; then pass; else fail "a run that goes on elsewhere logged $(steps other) steps"; fi

expect 2 'cannot be shared out among 3 devices' $train -o few -b 2 --devices cpu:0-2
expect 2 "needs cpu or cuda" $train -o bad --devices gpu:1
expect 2 'stands twice' $train -o bad --devices cpu:1,0-2
expect 2 'either --device or --devices' $train -o bad --device cpu --devices cpu:0-1
expect 2 'is not possible' env RANK=4 WORLD_SIZE=4 MASTER_ADDR=127.0.0.1 MASTER_PORT=1 $train -o bad
expect 2 "RANK is '1x', not a number from 0" env RANK=1x WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=1 $train -o bad
expect 2 'set MASTER_ADDR and MASTER_PORT too' env RANK=1 WORLD_SIZE=2 $train -o bad
expect 0 'suggest' "$SGRUN" lr-find tiny.net -q --set rooms=12 -b 5 --steps 8 --devices cpu:0-1

expect 2 'for several machines: .*--machines' $train -o bad --machine 1
expect 2 'for several machines: .*--machines' $train -o bad --ranks 2 --meet localhost:4000
expect 2 'need --meet HOST:PORT' $train -o bad --machines 2 --meet localhost:40z
expect 0 '' timeout -k 1 60 env --ignore-signal=CHLD $train -e 1 -o unwaited --ranks 2

# ---- peers that fail

expect 0 '' $long -o unbroken --ranks 3
$long -o killed --ranks 3 --max-restarts 2 --timeout 3 >out 2>err &
pid=$!
await killed 30
kill -9 "$(child $pid 2)"
ended 'a rank killed' $pid 0
says 'a rank killed' err 'rank 0: lost rank 1 \(host .*its process ended'
says 'a rank killed' err 'rank 2: lost rank 1 \(host .*its process ended'
same 'killed and restarted' unbroken killed

$long -e 400 -o stopped --ranks 3 --timeout 1 >out 2>err &
pid=$!
await stopped 30
kill -STOP "$(child $pid 3)"
ended 'a rank stopped' $pid 8
says 'a rank stopped' err 'rank 0: lost rank 2 .*no sign of life for 1 s'
says 'a rank stopped' err 'rank 1: lost rank 2 .*no sign of life for 1 s'

# One that cannot go on says why, and nothing is tried again.
expect 2 'rank 0: one holds a run already' $train -o one --ranks 2 --max-restarts 3
says 'another rank learns of it' .err 'rank 1: rank 0 .* failed: it ended with exit status 2'

# Ctrl-C: all save and end.
$long -e 400 -o asked --ranks 2 >out 2>err &
pid=$!
await asked 10
kill -INT $pid
ended 'asked to stop' $pid 75
says 'asked to stop' err 'saved after step'

# The same before there is anything to save: one machine waits for the other, which never comes.
$train -o early --machines 2 --meet 127.0.0.1:29517 >out 2>err &
pid=$!
for _ in $(seq 200); do [ -n "$(child $pid 1)" ] && break || sleep 0.05; done
sleep 0.2
kill -INT $pid
ended 'asked to stop early' $pid 75

if [ -n "$mpi" ]; then
  $mpi -n 3 $long -e 400 -o mpi --timeout 3 >out 2>err &
  pid=$!
  await mpi 30
  kill -9 "$(child $pid 2)"
  wait $pid
  code=$?
  if [ "$code" != 0 ]; then pass; else fail 'mpirun ends well though a rank was killed'; fi
  says 'a rank of mpirun killed' err 'rank 0: lost rank 1 \(host .*its process ended'
  says 'a rank of mpirun killed' err 'rank 2: lost rank 1 \(host .*its process ended'

  $mpi -n 3 $long -o mpi_again --max-restarts 2 --timeout 3 >out 2>err &
  pid=$!
  await mpi_again 30
  supervisor=$(child $pid 2)
  kill -9 "$(child "$supervisor" 1)"
  ended 'a rank under mpirun killed' $pid 0
  same 'killed and restarted under mpirun' unbroken mpi_again
else
  skipped=$((skipped + 6))
fi

# The declarations of MPI are those of its header.
if command -v mpicc >/dev/null; then
  {
    echo '#include <mpi.h>'
    echo '#define MpiComm MPI_Comm'
    echo '#define MpiDatatype MPI_Datatype'
    echo '#define MpiRequest MPI_Request'
    echo '_Static_assert(sizeof(MPI_Comm) == sizeof(void *) && sizeof(MPI_Request) == sizeof(void *), "handles");'
    echo '_Static_assert(MPI_THREAD_SERIALIZED == 2, "thread levels");'
    echo 'static void *const statuses = MPI_STATUSES_IGNORE;'
    sed -n 's/^MPI_FUNCTION(\([A-Za-z_]*\), (\(.*\)))$/static int (*const own_\1)(\2) = MPI_\1;/p' "$root/runtime/world/mpi_abi.h" |
      sed 's/void \*statuses/MPI_Status *statuses/'
    echo 'int main(void) {'
    echo '  (void)statuses;'
    sed -n 's/^MPI_FUNCTION(\([A-Za-z_]*\),.*/  (void)own_\1;/p' "$root/runtime/world/mpi_abi.h"
    echo '  return MPI_STATUSES_IGNORE == 0 && (void *)MPI_COMM_WORLD == (void *)&ompi_mpi_comm_world ? 0 : 1;'
    echo '}'
  } >abi.c
  check 'the declarations of MPI' mpicc -Wall -Werror -o abi abi.c
  check 'the values of MPI' ./abi
  if [ "$(grep -c own_ abi.c)" = 16 ]; then pass; else fail 'not all functions of MPI are compared'; fi
else
  skipped=$((skipped + 3))
fi

# ---- hosts: network namespaces joined by a cable

a=sga$$ b=sgb$$
hosts_up() {
  ip netns add $a && ip netns add $b && ip link add v$$a netns $a type veth peer name v$$b netns $b &&
    ip -n $a addr add 10.213.7.1/24 dev v$$a && ip -n $b addr add 10.213.7.2/24 dev v$$b &&
    ip -n $a link set v$$a up && ip -n $b link set v$$b up && ip -n $a link set lo up && ip -n $b link set lo up
}
hosts_down() { ip netns del $a; ip netns del $b; }
if [ "$(id -u)" = 0 ] && command -v ip >/dev/null && hosts_up 2>/dev/null; then
  trap 'hosts_down 2>/dev/null; rm -rf "$work"' EXIT
  on_a="ip netns exec $a" on_b="ip netns exec $b" hosts="--ranks 2 --machines 2 --meet 10.213.7.1:29511"
  $on_b $train -o hosts $hosts --machine 1 >out.b 2>err.b &
  other=$!
  expect 0 'threshold accuracy' $on_a $train -o hosts $hosts --machine 0
  ended 'the second host' $other 0
  expect 0 '' $train -o 1x4 --devices cpu:0-3
  same 'two hosts and one' 1x4 hosts

  # The cable is cut: each side finds the other lost, and both go on from the checkpoint once it is whole again.
  $on_a $long -o cut $hosts --machine 0 --timeout 2 --max-restarts 3 >out 2>err &
  pid=$!
  $on_b $long -o cut $hosts --machine 1 --timeout 2 --max-restarts 3 >out.b 2>err.b &
  other=$!
  await cut 30
  ip -n $a link set v$$a down
  sleep 3.5
  ip -n $a link set v$$a up
  ended 'the first side of the cut' $pid 0
  ended 'the other side of the cut' $other 0
  says 'the first side of the cut' err 'rank [01]: lost rank [23] .*no sign of life for 2 s'
  says 'the other side of the cut' err.b 'rank [23]: lost rank [01] .*no sign of life for 2 s'
  expect 0 '' $long -o uncut --devices cpu:0-3
  same 'cut and mended' uncut cut
else
  skipped=$((skipped + 12))
fi

report parallel
