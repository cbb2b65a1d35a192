#!/bin/sh
# Depth of pictures: any size and kind, hostile ones, bad places; what the written PNG declares; folders, patterns and
# streams of frames; what a stack gives besides its depth.
. "$(dirname "$0")/lib.sh"
cp "$root/tests/tools/tiny.net" .
expect 0 '' "$SGRUN" train tiny.net -q -e 1 --set rooms=4 --set validation_rooms=2 -o run
weights=run/weights.safetensors
python3 - <<'P'
import struct, zlib

def png(path, width, height, rows):
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    with open(path, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
                + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))

def picture(path, width, height):
    png(path, width, height, b"".join(b"\0" + bytes((x * 7 + y * 3 + c * 50) % 256 for x in range(width) for c in range(3)) for y in range(height)))

picture("photo.png", 123, 77)
picture("dot.png", 1, 1)
picture("wide.png", 400, 9)
png("bomb.png", 60000, 60000, b"")
whole = open("photo.png", "rb").read()
open("short.png", "wb").write(whole[: len(whole) // 2])
open("text.jpg", "w").write("not a picture\n")
P
expect 0 'out/photo_depth.png' "$SGRUN" predict $weights photo.png dot.png wide.png -o out
python3 - <<'P' && pass || fail 'the depth PNG must declare its scale and have the size of the picture'
import struct, sys
data = open("out/photo_depth.png", "rb").read()
assert struct.unpack(">IIBB", data[16:26]) == (123, 77, 16, 0)
assert b"DepthScale\x001000" in data
P
check 'a coloured picture is written' test -s out/photo_colour.png
expect 0 '_depth.npy' "$SGRUN" predict $weights photo.png -o out --format npy
expect 4 'bomb.png' "$SGRUN" predict $weights bomb.png -o out
expect 4 'short.png' "$SGRUN" predict $weights short.png -o out
expect 4 'text.jpg' "$SGRUN" predict $weights text.jpg -o out
expect 4 'absent.png' "$SGRUN" predict $weights absent.png -o out
expect 4 'photo_depth.png' "$SGRUN" predict $weights text.jpg photo.png -o out
expect 4 'cannot' "$SGRUN" predict $weights photo.png -o /dev/null/x
expect 2 'model text' "$SGRUN" predict tiny.net photo.png
expect 2 'no format' "$SGRUN" predict $weights photo.png --format tiff
if ls out/*.tmp >/dev/null 2>&1; then fail 'a failed prediction left a temporary file'; else pass; fi

# Folders and patterns: natural order, names kept apart, results of earlier runs and the output folder left out.
mkdir -p shots/b out2
for i in 1 2 10; do cp photo.png shots/s$i.png; done
cp wide.png shots/b/s1.png
cp dot.png shots/s1.ppm.txt
cp short.png shots/broken.png
expect 4 '1 of 4 pictures have no depth' "$SGRUN" predict $weights shots -o shots
check 'natural order' sh -c "tr '\\n' ' ' <.out | grep -q 's1_depth.*s2_depth.*s10_depth'"
expect 4 '6 files there are results' "$SGRUN" predict $weights shots -o shots --no-colour
check 'no result of a result' test ! -e shots/s1_depth_depth.png
rm shots/broken.png shots/*_*.png
expect 0 'out2/b/s1_depth' "$SGRUN" predict $weights shots -R -o out2 --format png,npy,pfm
check 'several formats' test -s out2/s10_depth.npy -a -s out2/s10_depth.pfm -a -s out2/b/s1_depth.png
expect 0 's1-2' "$SGRUN" predict $weights 'shots/s*.png' shots/b/s1.png shots/s1.png -o out3
check 'two pictures of one name keep their results' test -s out3/s1_depth.png -a -s out3/s1-2_depth.png -a ! -e out3/s1-3_depth.png
expect 4 'no file fits' "$SGRUN" predict $weights 'shots/*.gif' -o out3
mkdir empty && expect 4 'has no PNG' "$SGRUN" predict $weights empty -o out3
expect 2 'a stack of base learners' "$SGRUN" predict $weights photo.png --spread -o out4
check 'nothing is written before a refusal' test ! -e out4

# Pictures shared out among devices: the same files, named in the same order; a broken one keeps its place.
cp short.png shots/b/s0.png
for devices in cpu cpu:0-2; do
  expect 4 '1 of 5 pictures have no depth' "$SGRUN" predict $weights shots -R -o by_$devices --ply --fx 40 --devices $devices
  sed "s/by_$devices/by/" .out >named_$devices
done
check 'names in the same order' cmp named_cpu named_cpu:0-2
check 'files of equal bytes' diff -r by_cpu by_cpu:0-2
rm shots/b/s0.png
expect 2 'one after another' "$SGRUN" predict $weights - -o out --devices cpu:0-1

# Streams: each frame is answered before the next is sent, a broken one by zeros; Ctrl-C ends a waiting stream.
expect 2 '-o DIR, or --stream-out' "$SGRUN" predict $weights -
expect 2 'WIDTHxHEIGHT' "$SGRUN" predict $weights - --raw 640 -o out
expect 2 'stands alone' "$SGRUN" predict $weights - photo.png -o out
expect 4 'has no frames' "$SGRUN" predict $weights - -o out
python3 - "$SGRUN" <<'P' && pass || fail 'streams of frames'
import array, signal, subprocess, sys

def start(*options):
    return subprocess.Popen([sys.argv[1], "predict", "run/weights.safetensors", "-", "-q", *options],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

def answer(process, frame, kind, n):
    process.stdin.write(frame)
    process.stdin.flush()
    values = array.array(kind)
    values.frombytes(process.stdout.read(n * values.itemsize))
    assert len(values) == n
    return values

width, height = 48, 32
n = width * height
frames = [bytes((i * k + k) % 256 for i in range(3 * n)) for k in (1, 5)]
raw = start("--raw", f"{width}x{height}", "--stream-out", "f32")
metres = [answer(raw, frame, "f", n) for frame in frames]
assert all(0.001 <= m <= 10 for m in metres[0]) and metres[0] != metres[1]
assert answer(raw, frames[0], "f", n) == metres[0]
raw.send_signal(signal.SIGINT)
assert raw.wait() == 75

ppm = lambda frame: b"P6 %d %d 255\n" % (width, height) + frame
mixed = start("--stream-out", "u16", "-o", "frames", "--no-colour")
millimetres = answer(mixed, ppm(frames[0]), "H", n)
assert all(abs(a - 1000 * b) <= 0.51 for a, b in zip(millimetres, metres[0]))
broken = bytearray(open("photo.png", "rb").read())
broken[-30] ^= 255
assert not any(answer(mixed, broken, "H", n))
assert answer(mixed, ppm(frames[0]), "H", n) == millimetres
mixed.stdin.close()
assert mixed.wait() == 4 and b"frame 2" in mixed.stderr.read()
for number, is_there in ((1, True), (2, False), (3, True)):
    try: open("frames/frame_%06d_depth.png" % number).close()
    except OSError: assert not is_there
    else: assert is_there
P

# A stack: the spread is the weighted deviation of the bases around the depth, on the network's own size.
cp "$root/tests/tools/tiny_stack.net" .
expect 0 '' "$SGRUN" train tiny_stack.net -q -o stack
"$SGRUN" data synth rooms -n 1 --width 64 --height 64 -q >/dev/null
expect 0 'weight_wide' "$SGRUN" predict stack/weights.safetensors rooms/rgb/00000.png -o stack --bases --spread --weights --format npy
python3 - <<'P' && pass || fail 'the spread of a stack'
import array

def load(name):
    data = open(f"stack/00000_{name}.npy", "rb").read()
    values = array.array("f")
    values.frombytes(data[10 + data[8] + 256 * data[9]:])
    return values

depth, spread, narrow, wide = map(load, ("depth", "spread", "base_narrow", "base_wide"))
assert max(spread) > 1e-3
for d, s, a, b in zip(depth, spread, narrow, wide):
    w = (d - b) / (a - b) if abs(a - b) > 0.01 else None  # d = w a + (1 - w) b
    if w is not None: assert abs((w * (a - d) ** 2 + (1 - w) * (b - d) ** 2) ** 0.5 - s) < 1e-3
P
check 'coloured spread and weights' test -s stack/00000_spread_colour.png -a -s stack/00000_weight_narrow.png

# Real photographs, where the demo has unpacked them.
photos=$(find "$root"/build/photos -name coffee.png -o -name rocket.jpg 2>/dev/null)
if [ -n "$photos" ]; then
  # shellcheck disable=SC2086
  expect 0 'coffee_depth.png' "$SGRUN" predict $weights $photos -o real
else
  skipped=1
fi
report tools/predict
