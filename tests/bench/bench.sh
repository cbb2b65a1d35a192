#!/bin/sh
# Sets up ONNX Runtime in a cache outside the repository and runs the bench: bench.sh BUILD_DIR [bench.py options]
set -eu
build=$1
shift
venv=${XDG_CACHE_HOME:-$HOME/.cache}/sgc-bench
if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/python" -c 'import onnx, onnxruntime' 2>/dev/null; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install -q numpy onnx onnxruntime
fi
make BUILD="$build" "$build/run_model" >/dev/null
exec "$venv/bin/python" tests/bench/bench.py "$build" "$@"
