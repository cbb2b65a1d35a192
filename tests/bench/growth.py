#!/usr/bin/python3
"""How time and memory grow with pictures, batches and threads, and where they grow otherwise than smoothly.

    growth.py BUILD_DIR [--only NETWORK|FILE.net,...] [--sizes 480x640,...] [--batches 1,2,...] [--picture 480x640]
              [--threads 1,2] [--runs N] [--training] [--from FILE] [--out DIR]

Runs `sgrun bench --per-kernel --json` for each network: at batch 1 over the sizes, and at one size over the batches, with
each number of threads; a point's time is its least. Writes growth.json (all rows) and growth.svg into DIR (BUILD_DIR), and names
every point that is off the smooth line of its series (a power of the pixels) by more than LIMIT, with the parts of the network
that make it so and what the roofline says of them. --from takes the rows of an earlier growth.json instead of measuring.
"""
import argparse
import json
import math
import os
import statistics
import subprocess
import sys

NETWORKS = ["ghost_unet", "meta_unet", "adabins", "bts", "ldrn", "stack"]
# The networks halve five times: 240x320 and the like at the next multiples of 32.
SIZES = ["256x320", "352x480", "480x640", "736x960", "960x1280"]
# Fewer queries than tokens in the smallest picture, positions for the largest.
ARGUMENTS = {"adabins": ["queries=64", "positions=1200"], "stack": ["queries=64", "positions=1200"]}
LIMIT = 1.25  # how far a point may be off its line


def measure(args, network, size, batch, threads):
    path = network if network.endswith(".net") else "models/%s.net" % network
    height, width = size.split("x")
    command = [os.path.join(args.build, "sgrun"), "bench", path, "--dim", "H=%s,W=%s" % (height, width), "-b", str(batch),
               "--threads", str(threads), "--runs", str(args.runs), "--per-kernel", "--json"] + (["--training"] if args.training else [])
    for argument in ARGUMENTS.get(network, []):
        command += ["--arg", argument]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit("growth: %s ended with %d: %s" % (" ".join(command), done.returncode, done.stderr[-1000:]))
    found, parts = json.loads(done.stdout), {}
    for k in found["per_kernel"]:
        entry = parts.setdefault(k["part"] or "the model itself", [0, 0])
        entry[0] += k["ms"]
        entry[1] += k["bound_ms"]
    return {"network": os.path.basename(network).replace(".net", ""), "size": size, "batch": batch, "threads": threads,
            "megapixels": int(height) * int(width) * batch / 1e6, "ms": found["min_ms"], "median_ms": found["median_ms"],
            "memory_bytes": found["memory_bytes"], "multiply_adds": found["multiply_adds"], "bound_ms": found["total"]["bound_ms"],
            "machine": found["machine"], "parts": parts}


def series_of(rows, picture):
    """The series of points that a line is laid through, each sorted by pixels: {(network, threads, what grows): rows}."""
    series = {}
    for row in sorted(rows, key=lambda r: r["megapixels"]):
        if row["batch"] == 1:
            series.setdefault((row["network"], row["threads"], "size"), []).append(row)
        if row["size"] == picture:
            series.setdefault((row["network"], row["threads"], "batch"), []).append(row)
    return series


def smooth(points):
    """Through points (x, y) the power law y = a x^b by medians (Theil and Sen), which single points do not move."""
    logs = [(math.log(x), math.log(y)) for x, y in points]
    slopes = [(v - y) / (u - x) for i, (x, y) in enumerate(logs) for u, v in logs[i + 1:] if u != x]
    b = statistics.median(slopes) if slopes else 1
    a = statistics.median(y - b * x for x, y in logs)
    return lambda x: math.exp(a + b * math.log(x))


def off_points(key, rows):
    """The rows that are off the line, each with why."""
    line, bound = (smooth([(r["megapixels"], r[what]) for r in rows]) for what in ("ms", "bound_ms"))
    found = []
    for row in rows:
        expected = line(row["megapixels"])
        ratio = row["ms"] / expected
        if 1 / LIMIT <= ratio <= LIMIT:
            continue
        near = min((r for r in rows if r is not row), key=lambda r: abs(math.log(r["ms"] / line(r["megapixels"]))))
        scale = expected / line(near["megapixels"])
        excess = []
        for name, (ms, bound_ms) in row["parts"].items():
            ms_near, bound_near = near["parts"].get(name, (0, 0))
            share = lambda b, t: "%.0f %%" % (100 * b / t) if t else "nothing"
            excess.append((ms - scale * ms_near, "%+.2f ms %s, at %s of its roofline where %s has %s"
                           % (ms - scale * ms_near, name, share(bound_ms, ms), describe(near), share(bound_near, ms_near))))
        excess.sort(reverse=ratio > 1)
        found.append({"network": key[0], "threads": key[1], "growing": key[2], "size": row["size"], "batch": row["batch"],
                      "ratio": ratio, "roofline_ratio": row["bound_ms"] / bound(row["megapixels"]), "parts": [text for _, text in excess[:3]]})
    return found


def describe(row):
    return "%d of %s" % (row["batch"], row["size"]) if row["batch"] > 1 else row["size"]


def report(rows, picture):
    """Prints the table and the points that are off; returns these."""
    print("%-12s %-12s %7s %10s %10s %10s %10s" % ("network", "pictures", "threads", "ms", "ms a MP", "MB a MP", "% of roof"))
    for row in rows:
        print("%-12s %-12s %7d %10.2f %10.1f %10.1f %10.0f"
              % (row["network"], describe(row), row["threads"], row["ms"], row["ms"] / row["megapixels"],
                 row["memory_bytes"] / 1e6 / row["megapixels"], 100 * row["bound_ms"] / row["ms"]))
    found = [point for key, points in series_of(rows, picture).items() if len(points) > 2 for point in off_points(key, points)]
    for p in found:
        print("OFF %s, %s, %d threads: %.2fx the line over %ss; its roofline is %.2fx that line's"
              % (p["network"], describe(p), p["threads"], p["ratio"], p["growing"], p["roofline_ratio"]))
        for text in p["parts"]:
            print("      " + text)
    print("%d points of %d are off their smooth line by more than %.2fx" % (len(found), len(rows), LIMIT))
    return found


def charts(rows, picture, training):
    most, what = max(r["threads"] for r in rows), "Training step" if training else "Inference"
    lines = lambda growing, y: [{"name": k[0], "x": [r["megapixels"] for r in v], "y": [y(r) for r in v]}
                                for k, v in series_of(rows, picture).items() if k[1:] == (most, growing)]
    chart = lambda title, y_label, drawn, **more: dict({"title": title, "x_label": "megapixels", "y_label": y_label, "x_log": True,
                                                        "y_log": True, "lines": drawn}, **more)
    alone = {(r["network"], r["size"], r["batch"]): r["ms"] for r in rows if r["threads"] == 1}
    faster = lambda r: alone[r["network"], r["size"], r["batch"]] / r["ms"] if (r["network"], r["size"], r["batch"]) in alone else None
    per_pixel, memory = lambda r: r["ms"] / r["megapixels"], lambda r: r["memory_bytes"] / 1e6 / r["megapixels"]
    return [chart("%s: time against the size of one picture, %d threads" % (what, most), "ms a megapixel", lines("size", per_pixel)),
            chart("%s: time against the batch, pictures of %s, %d threads" % (what, picture, most), "ms a megapixel", lines("batch", per_pixel)),
            chart("%s: memory against the size of one picture" % what, "MB a megapixel", lines("size", memory)),
            chart("%s: memory against the batch" % what, "MB a megapixel", lines("batch", memory)),
            chart("%s: %d threads against one" % (what, most), "times faster", lines("size", faster), y_log=False)]


def main():
    parser = argparse.ArgumentParser()
    words = lambda s: s.split(",")
    numbers = lambda s: [int(n) for n in s.split(",")]
    parser.add_argument("build")
    parser.add_argument("--only", type=words, default=NETWORKS)
    parser.add_argument("--sizes", type=words, default=SIZES)
    parser.add_argument("--batches", type=numbers, default=[1, 2, 4, 8, 16])
    parser.add_argument("--picture", default="480x640", help="the size at which batches grow")
    parser.add_argument("--threads", type=numbers, default=[1, 2])
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--training", action="store_true")
    parser.add_argument("--from", dest="earlier")
    parser.add_argument("--out")
    args = parser.parse_args()
    rows = json.load(open(args.earlier))["rows"] if args.earlier else []
    points = dict.fromkeys([(size, 1) for size in args.sizes] + [(args.picture, batch) for batch in args.batches])
    for network in [] if args.earlier else args.only:
        for size, batch in points:
            for threads in args.threads:
                rows.append(measure(args, network, size, batch, threads))
                print("growth: %s %s, %d threads: %.2f ms" % (network, describe(rows[-1]), threads, rows[-1]["ms"]), file=sys.stderr, flush=True)
    found = report(rows, args.picture)
    out = args.out or args.build
    with open(os.path.join(out, "growth.json"), "w") as f:
        json.dump({"rows": rows, "off": found}, f, indent=1)
    drawn = subprocess.run([os.path.join(args.build, "draw")], input=json.dumps(charts(rows, args.picture, args.training)), stdout=subprocess.PIPE,
                           text=True, check=True).stdout
    with open(os.path.join(out, "growth.svg"), "w") as f:
        f.write(drawn)


if __name__ == "__main__":
    main()
