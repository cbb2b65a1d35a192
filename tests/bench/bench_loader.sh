#!/bin/sh
# Sets up PyTorch and Pillow in a cache outside the repository and runs the bench: bench_loader.sh BUILD_DIR [options]
set -eu
build=$1
shift
venv=${XDG_CACHE_HOME:-$HOME/.cache}/sgc-bench
if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/python" -c 'import numpy, PIL, torch' 2>/dev/null; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install -q numpy pillow torch
fi
exec "$venv/bin/python" tests/bench/bench_loader.py "$build" "$@"
