#!/bin/sh
# The CUDA back end on a GPU, a real one or the simulated one: all.sh BUILD_DIR quick|whole. Sums go to $TALLY.
#
# quick  golden operations and a network's inference and gradient on sm_80; contractions on sm_75 and sm_90; counters of
#        one network; planted faults
# whole  all golden cases on sm_80; on the other architectures operations, evaluations, a gradient and a training step,
#        with blocks and threads in varied order; races looked for; a training step of every network on one and on four
#        GPUs; all networks' counters; more faults
#
# GOLDEN names another directory of golden cases: the repository has those that take little time on a CPU.
set -u
build=$1 part=$2
data=${GOLDEN:-tests/golden/data}
skip() {
  echo "skipped gpu: $1"
  echo "0 0 1" >>"$TALLY"
  exit 0
}
if ! "$build/sgc" doctor 2>/dev/null | grep -q '^nvrtc  *[^ ]*: [0-9]'; then skip "no NVRTC"; fi
if "$build/sgc" doctor 2>/dev/null | grep -q '^cuda:0 '; then
  architectures=real
elif [ -f "$build/libsimgpu.so" ]; then
  library=$PWD/$build/libsimgpu.so
  export SGC_CUDA="$library" SGC_CUBLASLT="$library" SGC_NCCL="$library" SGC_CUDA_CODE=ptx SGC_CUDA_TUNE=0
  export SIMGPU_CACHE="${SIMGPU_CACHE:-$PWD/$build/simgpu-cache}"
  architectures=80
  [ "$part" = whole ] && architectures="75 80 90 100"
else
  skip "no GPU, and no headers of CUDA for a simulated one"
fi

# golden NAME ENVIRONMENT CASE...: the cases (parts of names) with that environment
golden() {
  name=$1 environment=$2 out=$build/golden-gpu-$1
  shift 2
  rm -rf "$out"
  mkdir -p "$out"
  for case in "$@"; do
    env $environment "$build/golden" $data "$out" --target=cuda --case "$case" >>"$out/log" 2>&1
  done
  sh tests/golden/judge.sh "gpu $name" $data "$out"
}

for architecture in $architectures; do
  setting=SIMGPU_COMPUTE=$architecture
  case $part-$architecture in
    quick-*) golden "$architecture" "$setting" ops meta_rgb_eval_64x96 meta_d_gradeval_64x96_b2_a ;;
    whole-80 | whole-real) golden "$architecture" "$setting" ops _eval_ gradeval train fit ;;
    *) golden "$architecture" "$setting SIMGPU_ORDER=shuffled SIMGPU_SEED=$architecture" ops _eval_64x96 \
      meta_rgbd_gradeval_64x96_b2_a meta_rgbd_train_64x96_b2 ;;
  esac
done
# What is chosen for an architecture must compile there and be right.
for architecture in $architectures; do
  case $part-$architecture in
    whole-80 | *-real) continue ;; # as the test program does by itself
    quick-80) others="75 90" ;;
    *) others=$architecture ;;
  esac
  for other in $others; do
    SIMGPU_COMPUTE=$other sh tests/counted.sh "gpu-contract-$other" "$build/tests/compiler/test_cuda_contract"
  done
done
if [ "$part" = whole ]; then
  [ "$architectures" = real ] || golden races "SIMGPU_RACES=1" ops
  sh tests/counted.sh gpu-steps "$(command -v /usr/bin/python3 || command -v python3)" tests/gpu/steps.py "$build/sgrun"
  sh tests/counted.sh gpu-budget python3 tests/budget/budget.py "$build" tests/budget/gpu.tsv
  [ "$architectures" = real ] || sh tests/counted.sh gpu-faults-whole python3 tests/faults/plant.py "$build" tests/faults/whole/*.txt
else
  sh tests/counted.sh gpu-budget python3 tests/budget/budget.py "$build" tests/budget/gpu.tsv meta_unet
fi
sh tests/counted.sh gpu-faults python3 tests/faults/plant.py "$build" tests/faults/*.txt
