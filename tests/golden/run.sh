#!/bin/sh
# Golden cases on one target, judged by check.py: run.sh NAME GOLDEN_PROGRAM DATA_DIR BUILD_DIR OPTION... The sums go to
# $TALLY.
set -u
name=$1 golden=$2 data=$3 out=$4/golden-$1
shift 4
rm -rf "$out" # what an earlier run left must not be judged
mkdir -p "$out"
"$golden" "$data" "$out" "$@" >"$out/log" 2>&1
sh tests/golden/judge.sh "$name" "$data" "$out"
