#!/bin/sh
# What `make test` runs, fast ones first: all.sh BUILD_DIR
set -u
build=$1
export TALLY=$PWD/$build/tally SGC=$PWD/$build/sgc SGRUN=$PWD/$build/sgrun SGC_CACHE=$PWD/$build/cache
export SIMGPU_CACHE=$PWD/$build/simgpu
: >"$TALLY"

programs() { find "$1/tests" -name 'test_*' -type f -perm -u+x ! -name '*.log' | sort; }

sh tests/structure.sh
# shellcheck disable=SC2046
sh tests/run.sh release $(programs "$build")
sh tests/run.sh commands tests/tools/test_*.sh
export SGC=$PWD/$build/asan/sgc SGRUN=$PWD/$build/asan/sgrun
# shellcheck disable=SC2046
sh tests/run.sh sanitized $(programs "$build/asan") tests/tools/test_cli.sh tests/tools/test_predict.sh tests/tools/test_data.sh \
  tests/tools/test_recipe.sh tests/tools/test_runs.sh tests/tools/test_study.sh
sh tests/golden/run.sh "$build/golden" tests/golden/data "$build"
sh tests/cpu/all.sh "$build" quick
sh tests/budget/all.sh "$build" & # in one thread, as is most of what follows
sh tests/gpu/all.sh "$build" quick
wait
sh tests/tally.sh "$TALLY"
