#!/bin/sh
# The rules of the house: who may include whom, how long files may be, that each header compiles alone.
# Sums go to $TALLY.
set -u
passed=0 failed=0
ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); echo "FAILED structure: $*"; }

# room, pattern of what its files may include from the project
allowed() {
  case $1 in
    lang) echo '^(lang/|runtime/base/|runtime/tensor\.h|compiler/(graph|diag)\.h|compiler/ops/op\.h)' ;;
    compiler) echo '^(compiler/|runtime/base/|runtime/(tensor|program|kernel_abi)\.h)' ;;
    runtime/base) echo '^runtime/base/' ;;
    runtime) echo '^runtime/' ;;
  esac
}

for room in lang compiler runtime/base runtime; do
  for file in $(find $room -name '*.[chly]'); do
    # lang sees its own generated headers
    foreign=$(sed -n 's/^#include "\(.*\)"/\1/p' "$file" | grep -Ev "$(allowed $room)")
    if [ -n "$foreign" ]; then bad "$file may not include" $foreign; else ok; fi
  done
done

for file in $(find lang compiler runtime tools -name '*.[chly]'); do
  lines=$(wc -l <"$file")
  if [ "$lines" -gt 600 ]; then bad "$file has $lines lines; split it"; else ok; fi
done

for header in $(find lang compiler runtime tools -name '*.h'); do
  if echo "#include \"$header\"" | gcc -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -I. -x c -fsyntax-only - 2>/dev/null; then ok
  else bad "$header does not compile alone"; fi
done

# Only the tools print and exit.
for file in $(find lang compiler runtime -name '*.c' ! -path runtime/base/status.c); do
  if grep -nE '(^|[^a-z_])(printf|puts|exit|abort)\(' "$file" | grep -vE '//|text_|snprintf|vprintf' >/dev/null; then
    bad "$file prints or exits"
  else ok; fi
done

echo "ok structure: $passed passed, $failed failed"
echo "$passed $failed 0" >>"$TALLY"
