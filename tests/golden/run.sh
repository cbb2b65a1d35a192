#!/bin/sh
# Golden cases on both targets, judged by check.py: run.sh GOLDEN_PROGRAM DATA_DIR BUILD_DIR. Sums go to $TALLY.
set -u
golden=$1 data=$2 build=$3
python=$(command -v /usr/bin/python3 || command -v python3)
for target in cpu reference; do
  out=$build/golden-$target
  mkdir -p "$out"
  only=
  # The slow evaluator runs the operators and the small cases.
  [ $target = reference ] && only="--small"
  "$golden" "$data" "$out" --target=$target $only >"$out/log" 2>&1 || { echo "FAILED golden on $target:"; grep -v SKIPPED "$out/log" | tail -20; }
  "$python" "$data/check.py" "$data" "$out" >"$out/check" 2>&1
  awk -v target=$target '/^PASS [0-9]/ { passed = $2; failed = $4; missing = $6 }
       /^FAIL/ { print "FAILED golden on " target ": " $0 }
       END { print "golden on " target ": " passed " passed, " failed " failed, " missing " not run" }' "$out/check"
  failed=$(sed -n 's/^PASS \([0-9]*\)  FAIL \([0-9]*\)  MISSING \([0-9]*\)$/\2/p' "$out/check")
  passed=$(sed -n 's/^PASS \([0-9]*\)  FAIL \([0-9]*\)  MISSING \([0-9]*\)$/\1/p' "$out/check")
  could_not=$(sed -n 's/^golden on .* \([0-9]*\) could not run$/\1/p' "$out/log")
  missing=$(sed -n 's/^PASS \([0-9]*\)  FAIL \([0-9]*\)  MISSING \([0-9]*\)$/\3/p' "$out/check")
  echo "${passed:-0} $((${failed:-1} + ${could_not:-1})) $missing" >>"$TALLY"
done
