#!/bin/sh
# Golden cases on both targets, judged by check.py: run.sh GOLDEN_PROGRAM DATA_DIR BUILD_DIR. Sums go to $TALLY.
set -u
golden=$1 data=$2 build=$3
python=$(command -v /usr/bin/python3 || command -v python3)
log() { echo "$build/golden-$1/log"; }
run() {
  rm -rf "$build/golden-$1" # what an earlier run left must not be judged
  mkdir -p "$build/golden-$1"
  "$golden" "$data" "$build/golden-$1" --target="$1" >"$(log "$1")" 2>&1
}
run reference & # in one thread
run cpu
wait
for target in cpu reference; do
  out=$build/golden-$target
  grep -q 'golden on .* 0 could not run' "$out/log" || { echo "FAILED golden on $target:"; grep -v SKIPPED "$out/log" | tail -20; }
  grep SKIPPED "$out/log"
  "$python" "$data/check.py" "$data" "$out" >"$out/check" 2>&1
  awk -v target=$target '/^PASS [0-9]/ { passed = $2; failed = $4; missing = $6 }
       /^FAIL/ { print "FAILED golden on " target ": " $0 }
       END { print "golden on " target ": " passed " passed, " failed " failed, " missing " not run" }' "$out/check"
  failed=$(sed -n 's/^PASS \([0-9]*\)  FAIL \([0-9]*\)  MISSING \([0-9]*\)$/\2/p' "$out/check")
  passed=$(sed -n 's/^PASS \([0-9]*\)  FAIL \([0-9]*\)  MISSING \([0-9]*\)$/\1/p' "$out/check")
  could_not=$(sed -n 's/^golden on .* \([0-9]*\) could not run$/\1/p' "$out/log")
  missing=$(sed -n 's/^PASS \([0-9]*\)  FAIL \([0-9]*\)  MISSING \([0-9]*\)$/\3/p' "$out/check")
  echo "${passed:-0} $((${failed:-1} + ${could_not:-1})) ${missing:-0}" >>"$TALLY"
done
