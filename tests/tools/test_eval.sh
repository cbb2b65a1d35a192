#!/bin/sh
# The evaluator against NumPy: per picture, under every protocol, alignment and flip averaging; and real ground truth.
. "$(dirname "$0")/lib.sh"
cp "$root/tests/tools/tiny.net" .
python=
for name in python3 /usr/bin/python3; do "$name" -c 'import numpy' 2>/dev/null && python=$name && break; done
if [ -z "$python" ]; then
  skipped=1
  report tools/eval
  exit 0
fi
cp "$root/tests/tools/numpy_eval.py" .
expect 0 '' "$SGRUN" train tiny.net -q -e 1 -o run
weights=run/weights.safetensors
# One picture of the protocol's size and smaller ones, each with its mirror image in flip/.
expect 0 '' "$SGRUN" data synth big -n 1 --width 640 --height 480 -q
expect 0 '' "$SGRUN" data synth small -n 3 --width 200 --height 150 -q
mkdir -p rooms/rgb rooms/depth flip
for set in big small; do
  for file in "$set"/rgb/*.png; do
    name=$(basename "$file")
    cp "$file" "rooms/rgb/$set$name"
    cp "$set/depth/$name" "rooms/depth/$set$name"
  done
done
check 'pictures are mirrored' $python numpy_eval.py mirror rooms flip

# predictions WIDTHxHEIGHT policy: what the network says of each picture and of its mirror image, as predict writes it.
for policy in trained native; do
  native=
  if [ $policy = native ]; then native='--own-size'; fi
  expect 0 'npy' "$SGRUN" predict $weights rooms/rgb/*.png -f npy -o "plain_$policy" $native
  expect 0 'npy' "$SGRUN" predict $weights flip/*.png -f npy -o "flip_$policy" $native
done
for protocol in full nyu-eigen nyu-eigen-flip slides; do
  for align in none median lsq; do
    for flip in '' --flip; do
      # shellcheck disable=SC2086
      "$SGRUN" eval $weights --data rooms --split all -p $protocol --align $align $flip --per-image rows.csv --json >json 2>err
      check "$protocol, align $align $flip: equal to NumPy" $python numpy_eval.py compare $protocol $align rooms rows.csv json
    done
  done
done
expect 0 'nyu-eigen\+flip#' "$SGRUN" eval $weights --data rooms --split all -p nyu-eigen --flip
expect 0 'align median; ' "$SGRUN" eval $weights --data small --align median
expect 0 'sq_rel over g\^2' "$SGRUN" eval $weights --data rooms --split all -p slides
expect 2 'no protocol' "$SGRUN" eval $weights -p garg
expect 2 'no alignment' "$SGRUN" eval $weights --align best
expect 4 'cannot' "$SGRUN" eval $weights --data rooms --split all --per-image /dev/null/x.csv
# What the figures depend on changes the digest.
digest() { "$SGRUN" eval $weights --data small "$@" 2>/dev/null | sed -n 's/.*#\([0-9a-f]*\),.*/\1/p'; }
check 'digests differ' test "$( (digest; digest --flip; digest --align lsq; digest -p slides; digest -p nyu-eigen) | sort -u | wc -l)" = 5
check 'and stay' test "$(digest)" = "$(digest)"

# A stack: each base and their plain mean beside the combined depth.
cp "$root/tests/tools/tiny_stack.net" .
expect 0 '' "$SGRUN" train tiny_stack.net -q -o stack
stack=stack/weights.safetensors
expect 0 'base_wide' "$SGRUN" predict $stack small/rgb/*.png -f npy --bases --no-colour -o bases
"$SGRUN" eval $stack --data small --split all --bases --json >json
check 'figures of each base and of their mean' $python numpy_eval.py bases small bases json
expect 0 '^mean +0\.' "$SGRUN" eval $stack --data small --bases --flip
expect 2 'a stack of base learners' "$SGRUN" eval $weights --data small --bases

# Pictures shared out among devices: the same figures, rows and words in the same order, a broken picture included.
cp -r rooms shared
head -c 100 rooms/rgb/small00001.png >shared/rgb/small00001.png
for devices in cpu:0 cpu:0-2; do
  expect 0 'damaged PNG' "$SGRUN" eval $weights --data shared --split all -p slides --flip --per-image rows_$devices.csv --devices $devices
  mv .out out_$devices
  mv .err err_$devices
  expect 4 'more than 0 samples' "$SGRUN" eval $weights --data shared --split all --max-bad 0 --devices $devices
  "$SGRUN" eval $stack --data rooms --split all --bases --json --devices $devices >bases_$devices.json
done
for file in rows_%.csv out_% err_% bases_%.json; do
  check "$file is the same on three devices" cmp "$(echo $file | sed s/%/cpu:0/)" "$(echo $file | sed s/%/cpu:0-2/)"
done
check 'each picture has its row' test "$(wc -l <rows_cpu:0-2.csv)" = 4
expect 2 '--device names one device' "$SGRUN" eval $weights --device cpu:0-1
expect 2 'either --device or --devices' "$SGRUN" eval $weights --device cpu --devices cpu:0-1
expect 2 'do not run on --devices cpu:0' "$SGRUN" eval $weights --devices cpu:0 --target=cuda:sm_80

# Point clouds.
expect 2 'fx' "$SGRUN" predict $weights small/rgb/00000.png --ply -o cloud
expect 0 'cloud/00000.ply' "$SGRUN" predict $weights small/rgb/00000.png --ply --fx 160 --cy 80 -f npy -o cloud
check 'the cloud is that of NumPy' $python numpy_eval.py cloud small/rgb/00000.png cloud/00000_depth.npy cloud/00000.ply 160 160 100 80

# Real ground truth, where the demo's photographs are: a stereo pair whose calibration is known.
pair=$(find "$root/build/photos" -name motorcycle_disp.npz 2>/dev/null | head -1)
if [ -n "$pair" ]; then
  check 'the pair becomes a data set' $python numpy_eval.py motorcycle "$pair" real
  expect 0 '1 pairs, 0 broken' "$SGRUN" data check real
  expect 0 'depth: [12]\.[0-9]* to [0-9.]* m, median [2-4]' "$SGRUN" data check real
  expect 0 'npy' "$SGRUN" predict $weights real/rgb/motorcycle.png -f npy -o plain_trained
  expect 0 'npy' "$SGRUN" predict $weights real/rgb/motorcycle.png -f npy -o plain_native --own-size
  for protocol in full slides; do
    for align in none lsq; do
      "$SGRUN" eval $weights --data real --split all -p $protocol --align $align --per-image rows.csv --json >json 2>err
      check "motorcycle, $protocol, align $align: equal to NumPy" $python numpy_eval.py compare $protocol $align real rows.csv json
    done
  done
else
  skipped=$((skipped + 1))
fi
report tools/eval
