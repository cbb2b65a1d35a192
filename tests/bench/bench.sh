#!/bin/sh
# Sets up the peers in a cache outside the repository and runs the bench: bench.sh BUILD_DIR [bench.py options]
set -eu
build=$1
shift
case " $* " in
*" cuda"*) "$build/sgc" doctor | grep -q '^cuda:0 ' || { echo "bench: no GPU here (see: $build/sgc doctor)" >&2; exit 5; } ;;
esac
venv=${XDG_CACHE_HOME:-$HOME/.cache}/sgc-bench
peers="numpy torch jax onnx onnxruntime openvino ncnn pnnx"
if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/python" -c "import importlib.util as u, sys; sys.exit(any(not u.find_spec(p) for p in '$peers'.split()))"; then
  python3 -m venv "$venv"
  # shellcheck disable=SC2086
  "$venv/bin/pip" install -q $peers
fi
exec "$venv/bin/python" tests/bench/bench.py "$build" "$@"
