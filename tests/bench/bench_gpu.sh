#!/bin/sh
# Sets up PyTorch in a cache outside the repository and runs the bench of the GPU: bench_gpu.sh BUILD_DIR [bench_gpu.py options]
set -eu
build=$1
shift
if ! "$build/sgc" doctor | grep -q '^cuda:0 '; then
  echo "bench-gpu: no GPU here (see: $build/sgc doctor)" >&2
  exit 5
fi
venv=${XDG_CACHE_HOME:-$HOME/.cache}/sgc-bench
if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/python" -c 'import numpy, onnx, torch' 2>/dev/null; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install -q numpy onnx torch
fi
exec "$venv/bin/python" tests/bench/bench_gpu.py "$build" "$@"
