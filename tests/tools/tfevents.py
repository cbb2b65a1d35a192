"""tfevents.py DIR: TensorBoard's files of a run, read by nothing but the format's description, against its log.jsonl."""
import glob, json, struct, sys, zlib

TABLE = []
for value in range(256):
    for _ in range(8):
        value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    TABLE.append(value)


def masked_crc(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 255] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return value, at


def fields(data):
    """(number, value) of a message: an int, the bytes of a fixed number, or those of a text or message."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        else:
            size, at = {1: (8, at), 5: (4, at)}.get(key & 7) or varint(data, at)
            value, at = data[at : at + size], at + size
            assert len(value) == size
        yield key >> 3, value


def events(path):
    data, at = open(path, "rb").read(), 0
    while at < len(data):
        (size,) = struct.unpack("<Q", data[at : at + 8])
        assert masked_crc(data[at : at + 8]) == struct.unpack("<I", data[at + 8 : at + 12])[0], "length"
        body = data[at + 12 : at + 12 + size]
        assert masked_crc(body) == struct.unpack("<I", data[at + 12 + size : at + 16 + size])[0], "data"
        at += 16 + size
        yield dict(fields(body))


directory = sys.argv[1]
scalars, panels, graphs, texts, plugins = {}, {}, [], {}, []
paths = sorted(glob.glob(directory + "/events.out.tfevents.*"))
assert paths
for path in paths:
    first = True
    for event in events(path):
        assert struct.unpack("<d", event[1])[0] > 1e9
        step = event.get(2, 0)
        assert not first or event[3] == b"brain.Event:2"
        first = False
        if 7 in event:  # a restart: what was said of this step and later ones is void
            assert dict(fields(event[7])) == {1: 1}
            scalars = {k: v for k, v in scalars.items() if k[1] < step}
        if 4 in event:
            graphs.append(event[4])
        for _, value in fields(event.get(5, b"")):
            value = dict(fields(value))
            tag = value[1].decode()
            if 2 in value:
                scalars[tag, step] = struct.unpack("<f", value[2])[0]
            elif 4 in value:
                panels[step] = dict(fields(value[4]))
            else:
                plugin = dict(fields(dict(fields(value[9]))[1]))
                plugins.append((tag, plugin[1]))
                texts[tag] = dict(fields(value[8])).get(8)

single = lambda x: struct.unpack("<f", struct.pack("<f", x))[0]
log = [json.loads(line) for line in open(directory + "/log.jsonl")]
steps, epochs = [l for l in log if "loss" in l], [l for l in log if "mean_loss" in l]
count = 0
for lines, prefix, keys in (
    (steps, "train/", ("loss", "grad_norm", "lr", "beta1")),
    (epochs, "val/", ("delta1", "delta2", "delta3", "abs_rel", "sq_rel", "rmse", "rmse_log", "log10", "silog", "sq_rel_slides")),
):
    for key in keys:
        got = {step: value for (tag, step), value in scalars.items() if tag == prefix + key}
        want = {line["step"]: single(line[key]) for line in lines}
        assert got.keys() == want.keys(), (key, sorted(got), sorted(want))
        # the log has nine digits, the file a float
        assert all(abs(got[s] - want[s]) <= 2e-7 * abs(want[s]) for s in want), key
        count += len(want)
assert all(value > 0 for (tag, _), value in scalars.items() if tag == "train/pictures_per_second")

for step, picture in panels.items():
    png = picture[4]
    assert png[:8] == b"\x89PNG\r\n\x1a\n" and struct.unpack(">II", png[16:24]) == (picture[2], picture[1]) and picture[3] == 3
    at, pixels = 8, b""
    while at < len(png):
        size, kind = struct.unpack(">I4s", png[at : at + 8])
        pixels += png[at + 8 : at + 8 + size] if kind == b"IDAT" else b""
        at += 12 + size
    assert len(zlib.decompress(pixels)) == picture[1] * (3 * picture[2] + 1)
assert {l["step"] for l in epochs} <= set(panels)

assert len(graphs) == 1
nodes = {}
for number, node in fields(graphs[0]):
    if number != 1:
        continue
    inputs = [v.decode() for n, v in fields(node) if n == 3]
    node = dict(fields(node))
    assert node[1].decode() not in nodes
    nodes[node[1].decode()] = (node[2].decode(), inputs)
assert nodes["rgb"] == ("input", []) and nodes["output/depth"][0] == "output" and "down/weight" in nodes
assert all(i in nodes for _, inputs in nodes.values() for i in inputs)

settings = texts["settings"].decode()
assert "| optimizer.lr | 0.01 |" in settings and "| model | tiny |" in settings
assert [t for t, p in plugins if p == b"hparams"][:2] == ["_hparams_/experiment", "_hparams_/session_start_info"]
print("%d files, %d values equal to the log, %d panels, %d nodes" % (len(paths), count, len(panels), len(nodes)))
