#!/bin/sh
# Counters of the CPU's kernels and plans against their budgets, and whether leaving out a pass is noticed: all.sh
# BUILD_DIR. Sums go to $TALLY.
set -u
build=$1
budget() { sh tests/counted.sh "$build/budget.log" python3 tests/budget/budget.py "$build" "$@"; }
budget tests/budget/cpu.tsv
budget tests/budget/instructions.tsv
budget tests/budget/cpu.tsv adabins bts inference --plant affine,compose,setup,layout,winograd,fuse,concat
budget tests/budget/cpu.tsv adabins training --plant algebra,cse
