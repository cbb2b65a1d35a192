#!/bin/sh
# The last line of `make test`, from the sums in $1; exit status 1 if anything failed.
awk '{ p += $1; f += $2; s += $3 }
     END { printf "%d passed, %d failed", p, f; if (s) printf ", %d skipped", s; printf "\n"; exit f || !p }' "$1"
