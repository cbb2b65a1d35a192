#!/bin/sh
# Depth of pictures: any size and kind, hostile ones, bad places; what the written PNG declares.
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

# Real photographs, where the demo has unpacked them.
photos=$(find "$root"/build/photos -name coffee.png -o -name rocket.jpg 2>/dev/null)
if [ -n "$photos" ]; then
  # shellcheck disable=SC2086
  expect 0 'coffee_depth.png' "$SGRUN" predict $weights $photos -o real
else
  skipped=1
fi
report tools/predict
