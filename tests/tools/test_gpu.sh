#!/bin/sh
# The commands with a GPU, real or simulated, and without one.
. "$(dirname "$0")/lib.sh"
cp "$root/tests/tools/tiny.net" .
simulated=$(dirname "$SGC")/libsimgpu.so

# None: what is missing, where it was looked for, and the remedy; nothing else of the programs minds.
expect 5 'SGC_CUDA names: .*nowhere' env SGC_CUDA=/nowhere/libcuda.so.1 "$SGRUN" bench tiny.net --device cuda:0
expect 5 'SGC_CUDA names: .*nowhere' env SGC_CUDA=/nowhere/libcuda.so.1 "$SGC" compile tiny.net --target=cuda
expect 0 'driver  *cannot open' env SGC_CUDA=/nowhere/libcuda.so.1 "$SGC" doctor
expect 5 'lacks .cuInit.*SGC_CUDA' env SGC_CUDA=libm.so.6 "$SGRUN" bench tiny.net --device cuda
expect 0 'cublaslt  *the cuBLASLt is left out: SGC_CUBLASLT is none' env SGC_CUBLASLT=none "$SGC" doctor
expect 2 "no device 'gpu0'; there are cpu, cuda" "$SGRUN" bench tiny.net --device gpu0
expect 2 'do not run on --device cpu' "$SGRUN" bench tiny.net --device cpu --target=cuda:sm_80
expect 2 "no target 'cuda:sm_79'" "$SGC" compile tiny.net --target=cuda:sm_79

if ! "$SGC" doctor | grep -q '^nvrtc .*: [0-9]*\.[0-9]*, makes'; then
  skipped=$((skipped + 1))
  echo 'skipped: kernels for GPUs: no NVRTC'
  report tools/gpu
  exit
fi

# Compiling needs no GPU.
none='env SGC_CUDA=/nowhere/libcuda.so.1'
expect 0 'tiny for cuda-sm_80: [0-9]* kernels' $none "$SGC" compile tiny.net --target=cuda:sm_80
expect 0 '^\.target sm_80' $none "$SGC" compile tiny.net --target=cuda:sm_80 --emit=ptx
expect 0 '' $none "$SGC" compile tiny.net --target=cuda:sm_90 --emit=cubin -o tiny.cubin
check 'a cubin is an ELF file' grep -q '^.ELF' tiny.cubin
expect 2 'SGC_CUDA_CODE is .sass' env SGC_CUDA_CODE=sass "$SGC" compile tiny.net --target=cuda:sm_80
expect 0 'launches for' $none "$SGC" explain tiny.net --target=cuda:sm_80
expect 0 'note: kernels are compiled anew each time' env SGC_CACHE=/proc/nowhere "$SGC" compile tiny.net --target=cuda:sm_80
if "$SGC" doctor | grep -q '^nvrtc .* sm_61'; then
  skipped=$((skipped + 3))
else
  expect 5 'but not for sm_61: .*SGC_NVRTC' $none "$SGC" compile tiny.net --target=cuda:sm_61
  expect 5 'but not for sm_61: .*SGC_NVRTC' $none "$SGC" compile tiny.net --target=cuda:sm_61 --emit=cubin -o tiny.cubin
  expect 5 'but not for sm_61: .*SGC_NVRTC' $none "$SGC" explain tiny.net --target=cuda:sm_61
fi

if ! "$SGC" doctor | grep -q '^cuda:0' && [ -f "$simulated" ]; then
  export SGC_CUDA="$simulated" SGC_CUBLASLT="$simulated" SGC_NCCL="$simulated" SGC_CUDA_CODE=ptx SGC_CUDA_TUNE=0
fi
if ! "$SGC" doctor | grep -q '^cuda:0'; then
  skipped=$((skipped + 1))
  echo 'skipped: running on a GPU: there is none, and no simulated one'
  report tools/gpu
  exit
fi

expect 0 '^cuda:0 .*: sm_[0-9]*, .* multiprocessors, [0-9]* MB' "$SGC" doctor
expect 5 'no cuda:77; ' "$SGRUN" bench tiny.net --device cuda:77
expect 0 'us  *GFLOP' "$SGRUN" bench tiny.net --dim H=64,W=64 --device cuda:0 --per-kernel --runs 3

# Training: the same bits each time, stopped and resumed, as a graph or kernel by kernel; near what the CPU computes.
train="$SGRUN train tiny.net -q --set rooms=8 --device"
same() { check "$1" cmp "$2/weights.safetensors" "$3/weights.safetensors"; }
expect 0 'threshold accuracy' $train cuda:0 -o whole
expect 0 'threshold accuracy' $train cuda:0 -o again
same 'two equal runs give equal bits' whole again
expect 75 'saved after step' $train cuda:0 -o parts --until 1
expect 0 'threshold accuracy' $train cuda:0 -o parts --resume
same 'a resumed run gives the bits of a whole one' whole parts
expect 0 '' env SGC_CUDA_GRAPH=0 $train cuda:0 -o plain
same 'graphs give the bits of single launches' whole plain
expect 0 '' $train cpu -o cpu
check 'losses on GPU and CPU agree' python3 - <<'P'
import json
gpu, cpu = ([json.loads(line)["loss"] for line in open(run + "/log.jsonl") if "grad_norm" in line] for run in ("whole", "cpu"))
assert len(gpu) == len(cpu) == 8 and all(abs(a - b) < 1e-4 * b for a, b in zip(gpu, cpu)), (gpu, cpu)
P

# Two GPUs share the batch: the same losses but for rounding.
export SIMGPU_DEVICES=2
if "$SGC" doctor | grep -q '^cuda:1'; then
  expect 0 'threshold accuracy' "$SGRUN" train tiny.net -q --set rooms=8 --devices cuda:0-1 -o two
  check 'losses on one GPU and two agree' python3 - <<'P'
import json
one, two = ([json.loads(line)["loss"] for line in open(run + "/log.jsonl") if "grad_norm" in line] for run in ("whole", "two"))
assert len(one) == len(two) == 8 and all(abs(a - b) < 1e-3 * b for a, b in zip(one, two)), (one, two)
P
  for devices in cuda:0 cuda:1,0; do
    expect 0 'delta1' "$SGRUN" eval whole/weights.safetensors --devices $devices --set validation_rooms=5 --per-image rows_$devices.csv
    mv .out out_$devices
  done
  check 'rows are the same on two GPUs' cmp rows_cuda:0.csv rows_cuda:1,0.csv
  check 'figures are the same on two GPUs' cmp out_cuda:0 out_cuda:1,0
else
  skipped=$((skipped + 6))
fi

# GPUs of several processes: the bits of as many in one process, whoever starts the processes; one that is killed.
export SIMGPU_DEVICES=4
if "$SGC" doctor | grep -q '^cuda:3'; then
  quick="$SGRUN train tiny.net -q --no-tensorboard --set validation_rooms=2"
  share="$quick --set rooms=8 -b 4 -e 2"
  expect 0 '' $share -o 1x4 --devices cuda:0-3
  expect 0 '' $share -o 2x2 --ranks 2 --devices cuda:0-3
  expect 0 '' $share -o 4x1 --ranks 4 --devices cuda
  same 'one process of four GPUs and two of two' 1x4 2x2
  same 'one process of four GPUs and four of one' 1x4 4x1
  if command -v mpirun >/dev/null; then
    mpi="mpirun --oversubscribe --bind-to none"
    [ "$(id -u)" = 0 ] && mpi="$mpi --allow-run-as-root"
    expect 0 '' $mpi -n 2 $share -o mpi --devices cuda:0-3
    same 'one process of four GPUs and two of two by MPI' 1x4 mpi
  else
    skipped=$((skipped + 2))
  fi
  expect 2 '3 processes of this machine cannot share out 2 GPUs' $share -o few --ranks 3 --devices cuda:0-1

  long="$quick --set rooms=24 -b 2 --save-every 0.1 --timeout 3 --ranks 2 --devices cuda"
  expect 0 '' $long -o unbroken -e 1
  for run in lost mended; do
    options="-e 30"
    [ $run = mended ] && options="-e 1 --max-restarts 2"
    $long -o $run $options >out 2>err &
    pid=$!
    await $run 4
    kill -9 "$(cut -d ' ' -f 2 "/proc/$pid/task/$pid/children")"
    start=$(date +%s)
    wait $pid
    code=$?
    check "$run: noticed in bounded time" test $(($(date +%s) - start)) -lt 30
    check "$run: it is named" grep -q 'rank 0: lost rank 1 (host .*, process [0-9]*)' err
    case $run$code in
    lost8 | mended0) pass ;;
    *) fail "$run: exit status $code: $(head -5 err)" ;;
    esac
  done
  same 'killed and restarted with GPUs' unbroken mended
else
  skipped=$((skipped + 15))
fi
unset SIMGPU_DEVICES

expect 0 'delta1' "$SGRUN" eval whole/weights.safetensors --device cuda:0 --set rooms=8

# A step that is not finite is kept with its own batch, although the next one is on the device already.
sed 's/loss silog(depth, gt)/loss log(0 - silog(depth, gt))/' tiny.net >nan.net
expect 6 'lies in -4' "$SGRUN" train nan.net -q -o nan --set rooms=16 --device cuda:0
expect 6 'lies in -4' "$SGRUN" train nan.net -q -o nan_cpu --set rooms=16
check 'the batch is the one that failed' cmp nan/diverged/batch.safetensors nan_cpu/diverged/batch.safetensors
expect 6 'nan.net:[0-9]+.*the result of log' "$SGRUN" replay nan/diverged --device cuda:0
report tools/gpu
