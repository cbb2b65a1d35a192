#!/bin/sh
# Kernels for other CPUs than this one: all.sh BUILD_DIR quick|whole. Sums go to $TALLY.
#
# quick  machine code of all micro-kernels; on an ARM machine that qemu emulates, golden operations and an evaluation of
#        a network
# whole  all golden cases there, and the programs that test compiler and kernels; on this machine the golden cases with
#        every kind of CPU that it is
#
# What runs under qemu is the whole of lang, compiler and runtime made for ARM; kernels come from the cross compiler.
# GOLDEN names another directory of golden cases: the repository has those that take little time.
set -u
build=$1 part=$2
data=${GOLDEN:-tests/golden/data}
python=$(command -v /usr/bin/python3 || command -v python3)
qemu="qemu-aarch64 -L $build/sysroot"

# golden TARGET PROGRAM CASE...: cases (parts of names) by that program, two at a time, the longest first
golden() {
  target=$1 program=$2 out=$build/golden-$(echo "$1" | tr : -)
  shift 2
  rm -rf "$out"
  mkdir -p "$out"
  printf '%s\n' "$@" | xargs -P 2 -I CASE sh -c "$program $data $out --target=$target --case CASE >$out/log-CASE 2>&1"
  cat "$out"/log-* >"$out/log"
  sh tests/golden/judge.sh "$target" "$data" "$out"
}

sh tests/counted.sh cpu-spills "$python" tests/cpu/spills.py "$build/sgc" tests/tools/tiny.net

if [ "$part" = whole ]; then
  for kind in sse2 avx2 avx512vl avx512; do
    if "$build/sgrun" bench tests/tools/tiny.net --runs=1 --target=cpu:$kind 2>&1 | grep -q 'does not execute'; then
      echo "skipped cpu:$kind: not of this machine"
      echo "0 0 1" >>"$TALLY"
    else
      golden cpu:$kind "$build/golden" train fit gradeval _eval_ ops
    fi
  done
fi

if [ "$(uname -m)" = aarch64 ]; then exit 0; fi # all tests are tests of NEON
if ! { command -v qemu-aarch64 && [ -x "$build/neon/golden" ]; } >/dev/null; then
  echo "skipped NEON: no qemu-aarch64, or no libraries for ARM to build with"
  echo "0 0 1" >>"$TALLY"
  exit 0
fi
export CC=aarch64-linux-gnu-gcc
if [ "$part" = quick ]; then
  golden cpu:neon "$qemu $build/neon/golden" ops ldrn_eval_64x96
  exit 0
fi
golden cpu:neon "$qemu $build/neon/golden" gradeval train fit _eval_ ops
CC="sh $PWD/tests/cpu/cc.sh"
for test in "$build"/neon/tests/*/test_*; do
  case $test in *.[do]) ;; *) sh tests/counted.sh "neon-$(basename "$test")" $qemu "$test" ;; esac
done
