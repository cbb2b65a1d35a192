#!/bin/sh
# The main job end to end: demo.sh BUILD_DIR
set -eu
build=$1
export SGC_CACHE=${SGC_CACHE:-$PWD/$build/cache}
out=$build/demo
mkdir -p "$out"

echo "== meta_unet: what it is"
"$build/sgc" summary models/meta_unet.net --depth 1
"$build/sgc" graph models/meta_unet.net --depth 2 -o "$out/meta_unet.svg"
"$build/sgc" compile models/meta_unet.net

echo "== ghost_unet: training on synthetic rooms"
"$build/sgrun" data view -n 6 -o "$out/rooms.png"
"$build/sgrun" train models/ghost_unet.net --force -o "$out/run"

echo "== depth of photographs"
find "$build/photos" -name coffee.png -o -name motorcycle_left.png -o -name rocket.jpg | sort |
  xargs "$build/sgrun" predict "$out/run/weights.safetensors" -o "$out"
echo "Look at $out: the network's graph, the rooms, and the depth of the photographs."
