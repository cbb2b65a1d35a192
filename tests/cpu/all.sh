#!/bin/sh
# Kernels for other CPUs than this one: all.sh BUILD_DIR quick|whole. Sums go to $TALLY.
#
# quick  machine code of the micro-kernels of every CPU
set -u
build=$1 part=$2
python=$(command -v /usr/bin/python3 || command -v python3)

# counted COMMAND...: a program that ends with "...: N passed, N failed[, N skipped]"
counted() {
  "$@" >"$build/cpu.log" 2>&1
  grep -E '^(FAILED|skipped)|passed' "$build/cpu.log" || cat "$build/cpu.log"
  line=$(tail -1 "$build/cpu.log" | sed -n 's/.*: \([0-9]*\) passed, \([0-9]*\) failed\(, \([0-9]*\) skipped\)*.*/\1 \2 0\4/p')
  echo "${line:-0 1 0}" >>"$TALLY"
}

counted "$python" tests/cpu/spills.py "$build/sgc" tests/tools/tiny.net
