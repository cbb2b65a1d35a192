"""An evaluator of its own, written from the definitions, to compare `sgrun eval` with; and the files that this needs."""
import json, os, struct, sys, zlib
import numpy as np

NAMES = ["delta1", "delta2", "delta3", "abs_rel", "sq_rel", "rmse", "rmse_log", "log10", "silog", "sq_rel_slides"]


def read_png(path):
    """Pixels as [height, width, channels] and the text chunks, of 8-bit RGB and 16-bit gray PNG."""
    data = open(path, "rb").read()
    at, packed, texts = 8, b"", {}
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + size]
        if kind == b"IHDR":
            width, height, bits, colour, _, _, interlaced = struct.unpack(">IIBBBBB", body)
            assert (bits, colour) in ((8, 2), (16, 0)) and not interlaced
        if kind == b"IDAT":
            packed += body
        if kind == b"tEXt":
            key, value = body.split(b"\0", 1)
            texts[key.decode()] = value.decode()
        at += 12 + size
    channels = 3 if colour == 2 else 1
    step = channels * bits // 8
    raw = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, 1 + width * step)
    out = np.zeros((height, width * step), np.uint8)
    above = np.zeros(width * step, np.int64)
    for y in range(height):
        kind, line = raw[y, 0], raw[y, 1:].astype(np.int64)
        if kind == 0:
            row = line
        elif kind == 2:
            row = (line + above) & 255
        else:
            row = np.zeros_like(line)
            for i in range(width * step):
                left = row[i - step] if i >= step else 0
                up, corner = above[i], above[i - step] if i >= step else 0
                if kind == 1:
                    guess = left
                elif kind == 3:
                    guess = (left + up) // 2
                else:
                    p = left + up - corner
                    guess = min((abs(p - left), 0, left), (abs(p - up), 1, up), (abs(p - corner), 2, corner))[2]
                row[i] = (line[i] + guess) & 255
        out[y], above = row, row
    if bits == 16:
        return out.reshape(height, width, 2).astype(np.uint16) @ np.array([256, 1], np.uint16), texts
    return out.reshape(height, width, channels), texts


def write_png(path, pixels, texts=()):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    height, width = pixels.shape[:2]
    bits, colour = (16, 0) if pixels.dtype == np.uint16 else (8, 2)
    rows = pixels.astype(">u2" if bits == 16 else np.uint8).tobytes()
    stride = len(rows) // height
    raw = b"".join(b"\0" + rows[y * stride : (y + 1) * stride] for y in range(height))
    with open(path, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)))
        for key, value in texts:
            f.write(chunk(b"tEXt", key.encode() + b"\0" + value.encode()))
        f.write(chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""))


def read_truth(path):
    values, texts = read_png(path)
    return (values / float(texts["DepthScale"])).astype(np.float32).astype(np.float64)


def judge(prediction, truth, protocol, align):
    """The ten figures of one picture, in float64."""
    low, high = 1e-3, 10.0
    height, width = truth.shape
    counts = (truth > np.float32(low)) & (truth < np.float32(high))
    if protocol != "full":
        window = np.zeros_like(counts)
        rows = [int(np.floor(v * height / 480 + 0.5)) for v in (45, 471)]
        columns = [int(np.floor(v * width / 640 + 0.5)) for v in (41, 601)]
        window[rows[0] : rows[1], columns[0] : columns[1]] = True
        counts &= window
    d, g = prediction[counts].astype(np.float64), truth[counts]
    if align == "median":
        d = d * (np.median(g) / np.median(d))
    if align == "lsq":
        (scale, shift), *_ = np.linalg.lstsq(np.stack([d, np.ones_like(d)], 1), g, rcond=None)
        d = scale * d + shift
    d = np.clip(d, low, high)
    ratio, e = np.maximum(d / g, g / d), np.log(d) - np.log(g)
    return int(counts.sum()), [
        (ratio < 1.25).mean(), (ratio < 1.25**2).mean(), (ratio < 1.25**3).mean(),
        (np.abs(d - g) / g).mean(), ((d - g) ** 2 / g).mean(), np.sqrt(((d - g) ** 2).mean()),
        np.sqrt((e**2).mean()), np.abs(np.log10(d) - np.log10(g)).mean(),
        100 * np.sqrt(max((e**2).mean() - e.mean() ** 2, 0)), ((d - g) ** 2 / g**2).mean(),
    ]


def compare(protocol, align, directory, rows, summary):
    said = json.load(open(summary))
    policy = "trained" if protocol == "full" else "native"
    lines = open(rows).read().splitlines()
    assert lines[0] == "name,width,height,valid," + ",".join(NAMES), lines[0]
    worst, means = 0.0, np.zeros(len(NAMES))
    for line in lines[1:]:
        fields = line.split(",")
        name = fields[0].strip('"')
        truth = read_truth("%s/depth/%s.png" % (directory, name))
        prediction = np.load("plain_%s/%s_depth.npy" % (policy, name)).astype(np.float64)
        if said["flip"]:
            mirrored = np.load("flip_%s/%s_depth.npy" % (policy, name)).astype(np.float64)[:, ::-1]
            prediction = (np.clip(prediction, 1e-3, 10) + np.clip(mirrored, 1e-3, 10)) / 2
        n, values = judge(prediction, truth, protocol, align)
        assert n == int(fields[3]) and n > 0, (name, n, fields[3])
        worst = max(worst, max(abs(float(f) - v) / max(1, abs(v)) for f, v in zip(fields[4:], values)))
        means += np.array(values) / (len(lines) - 1)
    worst = max(worst, max(abs(said[k] - v) / max(1, abs(v)) for k, v in zip(NAMES, means)))
    assert said["align"] == align and said["pictures"] == len(lines) - 1
    print("largest difference %.2g" % worst)
    assert worst < 1e-6


def bases(directory, predictions, summary):
    """What `eval --bases --json` says of each base and of their mean, from the maps that `predict --bases` wrote."""
    said, sums = json.load(open(summary))["bases"], {}
    names = [file[:-4] for file in sorted(os.listdir(directory + "/depth"))]
    for name in names:
        truth = read_truth("%s/depth/%s.png" % (directory, name))
        maps = {base: np.load("%s/%s_base_%s.npy" % (predictions, name, base)) for base in ("narrow", "wide")}
        maps["mean"] = (maps["narrow"].astype(np.float64) + maps["wide"]) / 2
        maps["combined"] = np.load("%s/%s_depth.npy" % (predictions, name))
        for key, depth in maps.items():
            sums[key] = sums.get(key, 0) + np.array(judge(depth, truth, "full", "none")[1]) / len(names)
    assert sorted(said) == sorted(sums), said.keys()
    for key, values in sums.items():
        assert all(abs(said[key][k] - v) < 1e-5 * max(1, abs(v)) for k, v in zip(NAMES, values)), (key, said[key], values)
    assert said["narrow"] != said["wide"]


def mirror(directory, out):
    for name in os.listdir(directory + "/rgb"):
        pixels, _ = read_png("%s/rgb/%s" % (directory, name))
        write_png("%s/%s" % (out, name), pixels[:, ::-1])


def cloud(picture, depth, path, fx, fy, cx, cy):
    pixels, _ = read_png(picture)
    z = np.load(depth).astype(np.float64)
    data = open(path, "rb").read()
    at = data.index(b"end_header\n") + 11
    points = np.frombuffer(data[at:], np.dtype([("xyz", "<f4", 3), ("rgb", "u1", 3)]))
    ys, xs = np.nonzero(z > 0)
    wanted = np.stack([(xs + 0.5 - cx) / fx * z[ys, xs], (ys + 0.5 - cy) / fy * z[ys, xs], z[ys, xs]], 1)
    assert len(points) == len(wanted) and b"element vertex %d\n" % len(wanted) in data[:at]
    assert np.abs(points["xyz"] - wanted).max() < 1e-5 and (points["rgb"] == pixels[ys, xs]).all()


def motorcycle(disparities, out):
    """Middlebury 2014 "Motorcycle", quarter size: depth = focal length x baseline / (disparity + offset)."""
    disparity = np.load(disparities)["arr_0"].astype(np.float64)
    depth = np.where(np.isfinite(disparity), 994.978 * 193.001 / (disparity + 31.086), 0)
    os.makedirs(out + "/rgb"), os.makedirs(out + "/depth")
    pixels, _ = read_png(os.path.join(os.path.dirname(disparities), "motorcycle_left.png"))
    assert pixels.shape[:2] == depth.shape
    write_png(out + "/rgb/motorcycle.png", pixels)
    write_png(out + "/depth/motorcycle.png", np.round(depth).astype(np.uint16), [("DepthScale", "1000")])


verb, *rest = sys.argv[1:]
if verb == "cloud":
    cloud(*rest[:3], *map(float, rest[3:]))
else:
    {"compare": compare, "bases": bases, "mirror": mirror, "motorcycle": motorcycle}[verb](*rest)
