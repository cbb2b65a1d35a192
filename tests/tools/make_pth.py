"""Writes PyTorch files without PyTorch: Python's own pickler over stand-ins for the few names of torch that such files use.

make_pth.py ghostnet KEYS.tsv  writes ghostnet.{zip,legacy,deflated}.pth and ghostnet.safetensors with equal values
make_pth.py forms              writes small files with all types, strides, nestings and protocols, and the same as .safetensors
make_pth.py hostile            writes files that must be refused
"""
import collections
import io
import json
import os
import pickle
import random
import struct
import sys
import types
import zipfile

torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
sys.modules.update({"torch": torch, "torch._utils": utils})


def global_name(module, name):
    def function(*args):
        raise AssertionError("never called")

    function.__module__, function.__name__, function.__qualname__ = module.__name__, name, name
    setattr(module, name, function)
    return function


rebuild_tensor = global_name(utils, "_rebuild_tensor_v2")
rebuild_parameter = global_name(utils, "_rebuild_parameter")
# letter of struct, type name of safetensors, bytes
TYPES = {"Float": ("f", "F32", 4), "Double": ("d", "F64", 8), "Half": ("e", "F16", 2), "BFloat16": ("H", "BF16", 2),
         "Long": ("q", "I64", 8), "Int": ("i", "I32", 4), "Short": ("h", "I16", 2), "Char": ("b", "I8", 1),
         "Byte": ("B", "U8", 1), "Bool": ("?", "BOOL", 1)}
for kind in TYPES:
    setattr(torch, kind + "Storage", type(kind + "Storage", (), {"__module__": "torch"}))


class Storage:
    def __init__(self, values, kind="Float"):
        self.kind, self.n = kind, len(values)
        self.data = struct.pack("<%d%s" % (len(values), TYPES[kind][0]), *values)


def rows(shape):
    strides, step = [], 1
    for size in reversed(shape):
        strides.insert(0, step)
        step *= size
    return tuple(strides)


class Tensor:
    def __init__(self, storage, shape, strides=None, offset=0):
        self.storage, self.shape, self.offset = storage, tuple(shape), offset
        self.strides = rows(shape) if strides is None else tuple(strides)

    def __reduce__(self):
        return rebuild_tensor, (self.storage, self.offset, self.shape, self.strides, False, collections.OrderedDict())

    def count(self):
        n = 1
        for size in self.shape:
            n *= size
        return n

    def packed(self):
        size, out = TYPES[self.storage.kind][2], b""
        if self.strides == rows(self.shape) and not self.offset and len(self.storage.data) == self.count() * size:
            return self.storage.data
        indices = [0]
        for n, stride in zip(self.shape, self.strides):
            indices = [i + k * stride for i in indices for k in range(n)]
        for i in indices:
            out += self.storage.data[(self.offset + i) * size:(self.offset + i + 1) * size]
        return out


class Parameter:
    def __init__(self, tensor):
        self.tensor = tensor

    def __reduce__(self):
        return rebuild_parameter, (self.tensor, True, collections.OrderedDict())


def tensor(shape, seed, kind="Float"):
    n = 1
    for size in shape:
        n *= size
    chance = random.Random(seed)
    values = list(chance.randbytes(n)) if n else []
    if kind in ("Float", "Double", "Half"):
        values = [v / 128 - 1 for v in values]
    elif kind in ("Char", "Bool"):
        values = [v >> 1 if kind == "Char" else v > 127 for v in values]
    return Tensor(Storage(values, kind), shape)


class Pickler(pickle.Pickler):
    def __init__(self, out, protocol, keys, is_legacy):
        super().__init__(out, protocol)
        self.keys, self.is_legacy = keys, is_legacy

    def persistent_id(self, value):
        if not isinstance(value, Storage):
            return None
        key = self.keys.setdefault(value, str(len(self.keys) + (94000 if self.is_legacy else 0)))
        entry = ("storage", getattr(torch, value.kind + "Storage"), key, "cpu", value.n)
        return entry + (None,) if self.is_legacy else entry


def pickled(value, protocol, is_legacy):
    keys, out = {}, io.BytesIO()
    Pickler(out, protocol, keys, is_legacy).dump(value)
    return out.getvalue(), keys


def write_zip(path, value, method=zipfile.ZIP_STORED, protocol=2, extra=()):
    data, keys = pickled(value, protocol, False)
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("archive/data.pkl", data)
        for name, text in extra:
            archive.writestr("archive/" + name, text)
        for storage, key in keys.items():
            archive.writestr("archive/data/" + key, storage.data)
        archive.writestr("archive/version", "3\n")


def write_legacy(path, value, protocol=2, is_little=True):
    data, keys = pickled(value, protocol, True)
    with open(path, "wb") as out:
        pickle.dump(0x1950A86A20F9469CFC6C, out, protocol)
        pickle.dump(1001, out, protocol)
        sizes = {"short": 2, "int": 4, "long": 4}
        pickle.dump({"protocol_version": 1001, "little_endian": is_little, "type_sizes": sizes}, out, protocol)
        out.write(data)
        order = sorted(keys.items(), key=lambda item: item[1])
        pickle.dump([key for _, key in order], out, protocol)
        for storage, _ in order:
            out.write(struct.pack("<q", storage.n) + storage.data)


def write_safetensors(path, tensors):
    header, data = {}, b""
    for name, value in tensors.items():
        packed = value.packed()
        header[name] = {"dtype": TYPES[value.storage.kind][1], "shape": list(value.shape),
                        "data_offsets": [len(data), len(data) + len(packed)]}
        data += packed
    text = json.dumps(header).encode()
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text + data)


def ghostnet(keys):
    state = collections.OrderedDict()
    with open(keys) as table:
        next(table)
        for seed, line in enumerate(table):
            name, shape, kind = line.split("\t")[:3]
            shape = [] if shape == "scalar" else [int(size) for size in shape.split("x")]
            state[name] = tensor(shape, seed, "Long" if kind == "int64" else "Float")
            if name.endswith("running_var"):
                values = struct.unpack("<%df" % shape[0], state[name].storage.data)
                state[name] = Tensor(Storage([0.5 + abs(v) for v in values]), shape)
            if name.startswith("classifier"):
                state[name] = Tensor(Storage([0.0] * (1280 if len(shape) > 1 else 1000)), shape, [0] * len(shape[1:]) + [1])
    state._metadata = collections.OrderedDict({"": {"version": 1}})
    write_zip("ghostnet.zip.pth", state)
    write_legacy("ghostnet.legacy.pth", state)
    write_zip("ghostnet.deflated.pth", {"epoch": 3, "state_dict": state}, zipfile.ZIP_DEFLATED)
    light = collections.OrderedDict((k, v) for k, v in state.items() if not k.startswith(("classifier", "conv_head")))
    write_safetensors("ghostnet.safetensors", light)
    del light["blocks.3.0.se.conv_reduce.bias"]
    light["bn1.bias"] = tensor([17], 1)
    write_zip("ghostnet.broken.pth", light)


def forms():
    flat = {kind.lower(): tensor([3, 2], seed, kind) for seed, kind in enumerate(TYPES)}
    shared = Storage([float(i) for i in range(24)])
    flat["transposed"] = Tensor(shared, [4, 6], [1, 4])
    flat["channels_last"] = Tensor(shared, [1, 2, 3, 4], [24, 1, 8, 2])
    flat["column"] = Tensor(shared, [4], [6], 5)
    flat["expanded"] = Tensor(shared, [5, 2], [0, 1], 2)
    flat["scalar"] = Tensor(shared, [], [], 7)
    flat["empty"] = Tensor(Storage([]), [0, 3])
    nested = {"model": {"a": {"b": flat["float"]}, "list": [1, flat["long"], (flat["half"],)]}, "epoch": 7, "lr": 1e-3,
              "name": "x", "none": None, "flag": True, 5: flat["double"], "p": Parameter(flat["transposed"])}
    names = {"model.a.b": flat["float"], "model.list.1": flat["long"], "model.list.2.0": flat["half"], "5": flat["double"],
             "p": flat["transposed"]}
    write_safetensors("flat.safetensors", flat)
    write_safetensors("nested.safetensors", names)
    changed = {**flat, "scalar": Tensor(shared, [], [], 9), "column": Tensor(shared, [2, 2], [12, 6], 5), "new": flat["int"]}
    del changed["empty"]
    write_safetensors("changed.safetensors", changed)
    for protocol in (2, 3, 4, 5):
        for name, value in (("flat", flat), ("nested", nested)):
            write_zip("%s.%d.zip.pth" % (name, protocol), value, zipfile.ZIP_STORED, protocol, [("byteorder", "little")])
            write_zip("%s.%d.deflated.pth" % (name, protocol), value, zipfile.ZIP_DEFLATED, protocol)
            write_legacy("%s.%d.legacy.pth" % (name, protocol), value, protocol)


class Call:
    def __init__(self, function, *args):
        self.what = function, args

    def __reduce__(self):
        return self.what


def hostile():
    small = Storage([1.0, 2.0, 3.0, 4.0])
    loop = {}
    loop["self"] = loop
    shares = {"x": Tensor(small, [4])}
    for _ in range(14):
        shares = {str(i): shares for i in range(8)}
    cases = {
        "system": {"w": Call(os.system, "touch harmed")},
        "eval": {"w": Call(eval, "open('harmed', 'w')")},
        "object": {"w": argparse_like()},
        "loop": loop,
        "shares": shares,
        "outside": {"w": Tensor(small, [5])},
        "offset": {"w": Tensor(small, [2], [1], 3)},
        "strides": {"w": Tensor(small, [2, 2], [3, 1])},
        "negative": {"w": Tensor(small, [2], [-1], 1)},
        "shape": {"w": Tensor(small, [-2])},
        "huge": {"w": Tensor(small, [1 << 40, 1 << 40], [0, 0])},
        "expanded": {"w": Tensor(small, [1 << 30], [0])},
        "none": {"epoch": 3},
    }
    for name, value in cases.items():
        write_zip(name + ".zip.pth", value)
        write_legacy(name + ".legacy.pth", value)
    fine = {"w": Tensor(small, [4])}
    write_zip("script.zip.pth", fine, extra=[("constants.pkl", "")])
    write_zip("big.zip.pth", fine, extra=[("byteorder", "big")])
    write_legacy("big.legacy.pth", fine, is_little=False)
    with zipfile.ZipFile("other.zip.pth", "w") as archive:
        archive.writestr("readme", "no weights")
    with open("other.legacy.pth", "wb") as out:
        pickle.dump({"w": 1}, out, 2)
    write_zip("bzip.zip.pth", fine, zipfile.ZIP_BZIP2)


def argparse_like():
    return types.SimpleNamespace(lr=1)


if __name__ == "__main__":
    {"ghostnet": ghostnet, "forms": forms, "hostile": hostile}[sys.argv[1]](*sys.argv[2:])
