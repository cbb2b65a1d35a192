#!/bin/sh
# Judges what the golden program left: judge.sh NAME DATA_DIR OUT_DIR, the program's own output being OUT_DIR/log.
# Says what failed; sums go to $TALLY, cases that were not asked for count as skipped.
set -u
name=$1 data=$2 out=$3
python=$(command -v /usr/bin/python3 || command -v python3)
grep -q 'golden on .* 0 could not run' "$out/log" || { echo "FAILED golden on $name:"; grep -v SKIPPED "$out/log" | tail -20; }
grep SKIPPED "$out/log"
"$python" "$data/check.py" "$data" "$out" >"$out/check" 2>&1
awk -v name="$name" '/^PASS [0-9]/ { passed = $2; failed = $4; missing = $6 }
     /^FAIL/ { print "FAILED golden on " name ": " $0 }
     END { print "golden on " name ": " passed " passed, " failed " failed, " missing " not run" }' "$out/check"
failed=$(sed -n 's/^PASS \([0-9]*\)  FAIL \([0-9]*\)  MISSING \([0-9]*\)$/\2/p' "$out/check")
passed=$(sed -n 's/^PASS \([0-9]*\)  FAIL \([0-9]*\)  MISSING \([0-9]*\)$/\1/p' "$out/check")
missing=$(sed -n 's/^PASS \([0-9]*\)  FAIL \([0-9]*\)  MISSING \([0-9]*\)$/\3/p' "$out/check")
could_not=$(sed -n 's/^golden on .* \([0-9]*\) could not run$/\1/p' "$out/log" | awk '{ n += $1 } END { print n }')
echo "${passed:-0} $((${failed:-1} + ${could_not:-1})) ${missing:-0}" >>"$TALLY"
