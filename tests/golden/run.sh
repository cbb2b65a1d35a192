#!/bin/sh
# Golden cases on both targets, and operations with all that cost models decide decided otherwise, judged by check.py:
# run.sh GOLDEN_PROGRAM DATA_DIR BUILD_DIR. Sums go to $TALLY.
set -u
golden=$1 data=$2 build=$3
run() { # NAME OPTION...
  name=$1
  shift
  rm -rf "$build/golden-$name" # what an earlier run left must not be judged
  mkdir -p "$build/golden-$name"
  "$golden" "$data" "$build/golden-$name" "$@" >"$build/golden-$name/log" 2>&1
}
run reference --target=reference & # in one thread
run cpu
run otherwise --alternative=1 --case ops
wait
for name in cpu otherwise reference; do sh tests/golden/judge.sh "$name" "$data" "$build/golden-$name"; done
