#!/bin/sh
# counted.sh LOG COMMAND...: a program that ends with "NAME: N passed, N failed[, N skipped]". Shows what failed, was
# skipped or is to be noted, and that line; its sums go to $TALLY. One that ends without it counts as failed.
log=$1
shift
"$@" >"$log" 2>&1
grep -E '^(FAILED|skipped|note)|[0-9] passed' "$log"
sums=$(tail -1 "$log" | sed -n 's/.*: \([0-9]*\) passed, \([0-9]*\) failed\(, \([0-9]*\) skipped\)*.*/\1 \2 0\4/p')
[ -n "$sums" ] || { echo "FAILED $*"; tail -20 "$log"; }
echo "${sums:-0 1 0}" >>"$TALLY"
