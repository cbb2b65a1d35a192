#!/bin/sh
# `make test-tensorboard`: what TensorBoard, tbparse and W&B (offline) make of a run's event files. Their packages are
# installed once into $SGC_PYTHON_CACHE (default ~/.cache/sgc-tensorboard), which takes the network and a minute.
. "$(dirname "$0")/lib.sh"
cache=${SGC_PYTHON_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sgc-tensorboard}
python=$cache/bin/python
if ! "$python" -c 'import tensorboard, tbparse, wandb' 2>/dev/null; then
  python3 -m venv "$cache" && "$cache/bin/pip" install -q 'tensorboard==2.21.*' 'tbparse==0.0.*' 'wandb==0.31.*' || {
    echo 'skipped: the Python packages cannot be installed'
    skipped=1
    report tools/tensorboard
    exit 0
  }
fi
cp "$root/tests/tools/tiny.net" .
expect 75 '' "$SGRUN" train tiny.net -q -j 2 -o run --until 1
expect 0 '' "$SGRUN" train tiny.net -q -j 2 -o run --resume
expect 0 'nodes' "$python" "$root/tests/tools/tensorboard_check.py" run

# The page itself: its graph and its table of settings.
"$cache/bin/tensorboard" --logdir run --host 127.0.0.1 --port 6197 >server 2>&1 &
server=$!
for _ in $(seq 60); do
  python3 -c 'import urllib.request as u; u.urlopen("http://127.0.0.1:6197/data/runs")' 2>/dev/null && break
  sleep 1
done
check 'the page has the graph and the settings' python3 - <<'P'
import json, urllib.request as u
base = "http://127.0.0.1:6197/data/plugin/"
graph = u.urlopen(base + "graphs/graph?run=.&limit_attr_size=1024&large_attrs_key=_too_large").read().decode()
assert 'name: "output/depth"' in graph and 'name: "down/weight"' in graph
ask = u.Request(base + "hparams/experiment", b"{}", {"Content-Type": "application/json"})
answer = json.loads(u.urlopen(ask).read())
assert "optimizer.lr" in {h["name"] for h in answer["hparamInfos"]}
P
kill $server

export WANDB_MODE=offline WANDB_SILENT=true
expect 0 '' "$python" "$root/tests/tools/wandb_run.py" followed "$SGRUN" train tiny.net -q -j 2 -o followed
expect 0 'panels' "$python" "$root/tests/tools/wandb_check.py" followed/log.jsonl wandb/offline-run-*/*.wandb
report tools/tensorboard
