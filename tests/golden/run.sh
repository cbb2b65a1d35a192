#!/bin/sh
# Golden cases on both targets, judged by check.py: run.sh GOLDEN_PROGRAM DATA_DIR BUILD_DIR. Sums go to $TALLY.
set -u
golden=$1 data=$2 build=$3
run() {
  rm -rf "$build/golden-$1" # what an earlier run left must not be judged
  mkdir -p "$build/golden-$1"
  "$golden" "$data" "$build/golden-$1" --target="$1" >"$build/golden-$1/log" 2>&1
}
run reference & # in one thread
run cpu
wait
for target in cpu reference; do sh tests/golden/judge.sh "$target" "$data" "$build/golden-$target"; done
