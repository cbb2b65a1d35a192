#!/bin/sh
# Pictures and depths that another program rendered, from files to figures: check, train, evaluate, predict.
# MiniWorld comes from PyPI into a cache outside the repository; not part of `make test`.
. "$(dirname "$0")/lib.sh"
venv=${XDG_CACHE_HOME:-$HOME/.cache}/sgc-miniworld
if ! "$venv/bin/python" -c 'import miniworld, PIL' 2>/dev/null; then
  python3 -m venv "$venv" && "$venv/bin/pip" install -q miniworld pillow || exit 5
fi
"$venv/bin/python" "$root/tests/tools/miniworld_pairs.py" indoor 24 >render.log 2>&1 || {
  cat render.log
  fail 'MiniWorld does not render here'
  report tools/miniworld
  exit 1
}
expect 4 'millimetres' "$SGRUN" data check indoor
expect 0 '24 pairs, 0 broken' "$SGRUN" data check indoor --depth-scale 1000
"$SGRUN" data check indoor --depth-scale 1000 --json >check.json
check 'depths of rooms' python3 -c '
import json; d = json.load(open("check.json"))
assert d["sizes"] == [[320, 240, 24]] and 0.3 < d["least"] < d["median"] < 8 and d["most"] < 60'
expect 0 'dataset.json' "$SGRUN" data init indoor --depth-scale 1000
cp "$root/tests/tools/tiny.net" .
expect 0 'threshold accuracy' "$SGRUN" train tiny.net -q -e 1 --data indoor --set augment=nyu -o run
expect 0 'delta1' "$SGRUN" eval run/weights.safetensors --data indoor --split all --per-image rows.csv
check 'every picture is judged' test "$(grep -c '"' rows.csv)" = 24
expect 0 'Hallway_0003_depth' "$SGRUN" predict run/weights.safetensors indoor/rgb -o out
report tools/miniworld
