#!/bin/sh
# The README's examples are executed: its network is saved, its commands run in order.
. "$(dirname "$0")/lib.sh"
readme=$root/README.md
sed -n '/^```net$/,/^```$/p' "$readme" | sed '/^```/d' >tiny.net
sed -n '/^```sh$/,/^```$/p' "$readme" | sed '/^```/d' >commands
check 'the README has a network' test -s tiny.net
mkdir bin
ln -s "$SGC" bin/sgc
ln -s "$SGRUN" bin/sgrun
PATH=$work/bin:$PATH
while read -r line; do
  # shellcheck disable=SC2086
  expect 0 '' $line
done <commands

# Every command that exists is in the table, and every command in the table exists.
for program in sgc sgrun; do
  for command in $($program --help | sed -n 's/^  \([a-z-]*\) .*/\1/p'); do
    check "the README lists $program $command" grep -q "^| .$program $command" "$readme"
  done
done
sed -n 's/^| `\(sgc\|sgrun\) \([a-z-]*\).*/\1 \2/p' "$readme" >table
while read -r program command; do expect 0 'usage' "$program" "$command" --help; done <table
report tools/readme
