#!/bin/sh
# What `make test` runs: all.sh BUILD_DIR. As many jobs at once as there are cores, each with its own lines and sums.
set -u
build=$1
export TALLY=$PWD/$build/tally SGC=$PWD/$build/sgc SGRUN=$PWD/$build/sgrun SGC_CACHE=$PWD/$build/cache
export SIMGPU_CACHE=$PWD/$build/simgpu
: >"$TALLY"

programs() { find "$1/tests" -name 'test_*' -type f -perm -u+x ! -name '*.log' | sort; }
counted() { # TITLE PROGRAM...
  title=$1
  shift
  for program in "$@"; do echo "sh tests/counted.sh $title-$(basename "$program") $program"; done
}
golden() { # NAME OPTION...
  name=$1
  shift
  echo "sh tests/golden/run.sh $name $build/golden tests/golden/data $build $*"
}

# Fast ones first; the last ones are short, so that no core waits long for another.
# shellcheck disable=SC2046
{
  echo sh tests/structure.sh
  counted release $(programs "$build")
  counted commands tests/tools/test_*.sh
  golden cpu
  golden reference --target=reference
  golden otherwise --alternative=1 --case ops
  echo "sh tests/cpu/all.sh $build quick"
  echo "sh tests/budget/all.sh $build"
  echo "sh tests/gpu/all.sh $build quick"
  counted sanitized $(printf 'tests/tools/test_%s.sh ' cli data predict recipe runs study) |
    sed "s|^|SGC=$PWD/$build/asan/sgc SGRUN=$PWD/$build/asan/sgrun |"
  counted sanitized $(programs "$build/asan")
} | xargs -P "$(nproc)" -I JOB sh -c JOB
sh tests/tally.sh "$TALLY"
