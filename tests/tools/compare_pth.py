"""compare_pth.py FILE.pth FILE.safetensors: an independent reading of what PyTorch saved, in either container, against
a safetensors file: the same names, shapes and bits. Prints how many tensors were equal; fails otherwise."""
import collections
import json
import pickle
import struct
import sys
import zipfile

import numpy as np

TYPES = {"FloatStorage": "<f4", "HalfStorage": "<f2", "DoubleStorage": "<f8", "LongStorage": "<i8"}


class Storage:
    def __init__(self, dtype, key, count):
        self.dtype, self.key, self.count, self.values = np.dtype(dtype), key, count, None


class View:
    def __init__(self, storage, offset, size, stride, *_):
        self.storage, self.offset, self.size, self.stride = storage, offset, size, stride

    def array(self):
        step = self.storage.dtype.itemsize
        values = self.storage.values[self.offset:]
        return np.lib.stride_tricks.as_strided(values, self.size, [s * step for s in self.stride])


class Reader(pickle.Unpickler):
    def __init__(self, file, storages):
        super().__init__(file, encoding="latin1")
        self.storages = storages

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return View
        if module == "torch" and name in TYPES:
            return name
        raise pickle.UnpicklingError("%s.%s is not expected" % (module, name))

    def persistent_load(self, saved):
        _, kind, key, _, count = saved[:5]
        return self.storages.setdefault(key, Storage(TYPES[kind], key, count))


def read_zip(path):
    storages = {}
    with zipfile.ZipFile(path) as archive:
        pickled = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
        tree = Reader(archive.open(pickled), storages).load()
        for storage in storages.values():
            data = archive.read(pickled[:-len("data.pkl")] + "data/" + storage.key)
            storage.values = np.frombuffer(data, storage.dtype, storage.count)
    return tree


def read_legacy(path):
    storages = {}
    with open(path, "rb") as file:
        magic, protocol, _ = [pickle.load(file) for _ in range(3)]
        assert magic == 0x1950A86A20F9469CFC6C and protocol == 1001
        tree = Reader(file, storages).load()
        for key in pickle.load(file):
            storage = storages[key]
            count, = struct.unpack("<q", file.read(8))
            assert count == storage.count
            storage.values = np.frombuffer(file.read(count * storage.dtype.itemsize), storage.dtype)
    return tree


def read_safetensors(path):
    data = open(path, "rb").read()
    size, = struct.unpack("<Q", data[:8])
    types = {"F32": "<f4", "F16": "<f2", "F64": "<f8", "I64": "<i8"}
    result = {}
    for name, entry in json.loads(data[8:8 + size]).items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        result[name] = np.frombuffer(data[8 + size + begin:8 + size + end], types[entry["dtype"]]).reshape(entry["shape"])
    return result


def main():
    path, ours = sys.argv[1], read_safetensors(sys.argv[2])
    tree = read_zip(path) if zipfile.is_zipfile(path) else read_legacy(path)
    theirs = {name: view.array() for name, view in tree.items()}
    assert list(sorted(theirs)) == list(sorted(ours)), set(theirs) ^ set(ours)
    for name, values in theirs.items():
        assert values.shape == ours[name].shape, name
        wanted = values.astype("<f4") if values.dtype.kind == "f" else values
        assert np.array_equal(wanted, ours[name], equal_nan=wanted.dtype.kind == "f"), name
    print("%d tensors equal" % len(theirs))


main()
