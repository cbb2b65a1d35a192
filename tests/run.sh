#!/bin/sh
# Runs test programs and adds up their tallies: run.sh TITLE PROGRAM...
# A program's last line is "name: N passed, N failed[, N skipped]"; one that ends without it counts as failed.
# The sums are appended to $TALLY, the logs stand beside it.
set -u
title=$1
shift
passed=0 failed=0 skipped=0
for program in "$@"; do
  log=$(dirname "$TALLY")/$title-$(basename "$program").log
  "$program" >"$log" 2>&1 </dev/null
  status=$?
  line=$(grep -E '^[^:]+: [0-9]+ passed, [0-9]+ failed' "$log" | tail -1)
  p=$(echo "$line" | sed -n 's/.*: \([0-9]*\) passed.*/\1/p')
  f=$(echo "$line" | sed -n 's/.* \([0-9]*\) failed.*/\1/p')
  s=$(echo "$line" | sed -n 's/.* \([0-9]*\) skipped.*/\1/p')
  if [ -z "$p" ] || { [ "$status" != 0 ] && [ "$f" = 0 ]; }; then
    echo "FAILED $title $(basename "$program"): exit status $status"
    tail -40 "$log"
    f=$((${f:-0} + 1))
  elif [ "$f" != 0 ]; then
    echo "FAILED $title $line"
    grep -A8 FAILED "$log" | head -60
  else
    echo "ok $title $line"
  fi
  passed=$((passed + ${p:-0})) failed=$((failed + f)) skipped=$((skipped + ${s:-0}))
done
echo "$passed $failed $skipped" >>"$TALLY"
