#!/bin/sh
# Counters of the CPU's kernels and plans against their budgets, and whether leaving out a pass is noticed: all.sh
# BUILD_DIR. Sums go to $TALLY.
set -u
build=$1
budget() { # NAME ARGUMENT...
  name=$1
  shift
  sh tests/counted.sh "budget-$name" python3 tests/budget/budget.py "$build" "$@"
}
budget cpu tests/budget/cpu.tsv
budget instructions tests/budget/instructions.tsv
budget planted tests/budget/cpu.tsv adabins bts inference --plant split,affine,interp,compose,setup,layout,winograd,strassen,fuse,concat
budget planted-training tests/budget/cpu.tsv adabins training --plant algebra,cse
