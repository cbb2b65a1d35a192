#!/bin/sh
# counted.sh NAME COMMAND...: runs what ends with "...: N passed, N failed[, N skipped]" and shows these sums, its seconds,
# and what failed, was skipped or is to be noted. What ends badly or without that line counts as failed. The sums go to
# $TALLY, all output to NAME.log beside it. What is shown comes in one piece, as several run side by side.
set -u
name=$1
shift
log=$(dirname "$TALLY")/$name.log
begin=$(date +%s)
"$@" >"$log" 2>&1 </dev/null
status=$?
line=$(grep -E '^[^:]+: [0-9]+ passed, [0-9]+ failed' "$log" | tail -1)
sums=$(echo "$line" | sed -n 's/.*: \([0-9]*\) passed, \([0-9]*\) failed\(, \([0-9]*\) skipped\)*.*/\1 \2 0\4/p')
failed=$(echo "${sums:-0 1 0}" | cut -d' ' -f2)
if [ -z "$sums" ] || { [ "$status" != 0 ] && [ "$failed" = 0 ]; }; then
  sums=${sums:-0}
  sums="${sums%% *} 1 0" verdict="FAILED $name: exit status $status" more=$(tail -40 "$log")
else
  verdict="ok $name: ${line##*: }, $(($(date +%s) - begin)) s" more=$(grep -E '^(skipped|note)' "$log")
  [ "$failed" = 0 ] || verdict="FAILED ${verdict#ok }" more=$(grep -A8 FAILED "$log" | head -60)
fi
echo "$verdict${more:+
$more}"
echo "${sums# }" >>"$TALLY"
