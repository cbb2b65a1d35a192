#!/bin/sh
# The cross compiler for ARM in the place of that machine's own, which would know the processor: cc.sh WORD...
for word; do
  shift
  [ "$word" = -mcpu=native ] && word=-march=armv8-a
  set -- "$@" "$word"
done
exec aarch64-linux-gnu-gcc "$@"
