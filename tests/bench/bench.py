"""Times our compiled networks against ONNX Runtime in alternating processes and checks that their outputs agree.

    bench.py BUILD_DIR [--rounds 5] [--runs 10] [--threads 2]
"""
import argparse
import json
import os
import statistics
import struct
import subprocess
import sys

import numpy as np

from graph_onnx import Exporter, parse

CASES = [("meta_unet", "models/meta_unet.net", ["inputs=rgbd", "N=1", "H=480", "W=640"]),
         ("ghost_unet", "models/ghost_unet.net", ["N=1", "H=480", "W=640"])]

PEER = """
import json, sys, time, numpy as np, onnxruntime as ort
model, inputs, out, runs, threads = sys.argv[1:6]
options = ort.SessionOptions()
options.intra_op_num_threads = int(threads)
options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
feeds = dict(np.load(inputs))
results = session.run(None, feeds)
np.savez(out, **{o.name: r for o, r in zip(session.get_outputs(), results)})
for _ in range(3): session.run(None, feeds)
times = []
for _ in range(int(runs)):
    t = time.perf_counter(); session.run(None, feeds); times.append(time.perf_counter() - t)
times.sort()
print(json.dumps({"median_ms": 1e3 * times[len(times) // 2], "min_ms": 1e3 * times[0]}))
"""


def save_safetensors(path, tensors):
    header, blobs, at = {}, [], 0
    for name, value in tensors.items():
        blob = np.ascontiguousarray(value, np.float32).tobytes()
        header[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def load_safetensors(path):
    with open(path, "rb") as f:
        n, = struct.unpack("<Q", f.read(8))
        header, data = json.loads(f.read(n)), f.read()
    return {k: np.frombuffer(data[v["data_offsets"][0]:v["data_offsets"][1]], np.float32).reshape(v["shape"])
            for k, v in header.items() if k != "__metadata__"}


def random_weights(nodes):
    """Weights of gain 1 and running statistics near those of unit data: no saturated softmax to magnify rounding."""
    rng, weights = np.random.default_rng(1), {}
    for n in nodes:
        if n["op"] not in ("param", "state"):
            continue
        shape, name = n["shape"], n["name"]
        if name.endswith("running_var"):
            value = rng.uniform(0.75, 1.25, shape)
        elif len(shape) == 4:
            value = rng.normal(0, np.sqrt(1 / np.prod(shape[1:])), shape)
        elif name.endswith("weight"):
            value = rng.uniform(0.8, 1.2, shape)
        else:
            value = rng.uniform(-0.1, 0.1, shape)
        weights[name] = value.astype(np.float32)
    return weights


def call(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit("bench: %s ended with %d" % (command[0], done.returncode))
    return json.loads(done.stdout.splitlines()[-1])


def bench(name, path, bindings, args):
    work = os.path.join(args.build, "bench")
    os.makedirs(work, exist_ok=True)
    file = lambda suffix: os.path.join(work, name + suffix)
    options = []
    for b in bindings:
        options += ["--dim" if b[0].isupper() else "--arg", b]
    text = subprocess.run([os.path.join(args.build, "sgc"), "compile", path, "--emit=graph", "--stop-after=cse", "--disable=expand",
                           "--disable=interp"] + options, stdout=subprocess.PIPE, text=True, check=True).stdout
    nodes, outputs = parse(text)
    weights = random_weights(nodes)
    rng = np.random.default_rng(2)
    inputs = {n["name"]: rng.uniform(0.5, 2, n["shape"]).astype(np.float32) for n in nodes if n["op"] == "input"}
    save_safetensors(file(".safetensors"), {**weights, **{"input/" + k: v for k, v in inputs.items()}})
    np.savez(file(".inputs.npz"), **inputs)
    with open(file(".onnx"), "wb") as f:
        f.write(Exporter(nodes, outputs, weights).model().SerializeToString())
    ours = [os.path.join(args.build, "run_model"), path, file(".safetensors"), file(".out"), str(args.runs), str(args.threads)] + bindings
    peer = [sys.executable, "-c", PEER, file(".onnx"), file(".inputs.npz"), file(".peer.npz"), str(args.runs), str(args.threads)]
    rows = [(call(ours), call(peer)) for _ in range(args.rounds)]
    mine, theirs = load_safetensors(file(".out")), np.load(file(".peer.npz"))
    worst = max(float(np.abs(mine[k] - theirs["out_" + k]).max() / np.abs(theirs["out_" + k]).max()) for k in outputs)
    a, b = ([r[i]["median_ms"] for r in rows] for i in (0, 1))
    ratios = sorted(y / x for x, y in zip(a, b))
    row = {"network": name, "mode": "inference", "ours_ms": statistics.median(a), "ours_min_ms": min(r[0]["min_ms"] for r in rows),
           "best_peer": "onnxruntime", "best_peer_ms": statistics.median(b), "best_peer_min_ms": min(r[1]["min_ms"] for r in rows),
           "ratio": statistics.median(ratios), "ratio_range": [ratios[0], ratios[-1]], "worst_difference": worst,
           "first_ms": rows[-1][0]["first_ms"], "kernels": rows[0][0]["kernels"], "memory_bytes": rows[0][0]["memory_bytes"]}
    print("%-11s ours %7.2f ms (least %7.2f)   onnxruntime %7.2f (%7.2f)   %.2fx faster (%.2f to %.2f)   outputs differ by %.1e   warm start %.2f s"
          % (name, row["ours_ms"], row["ours_min_ms"], row["best_peer_ms"], row["best_peer_min_ms"], row["ratio"], ratios[0], ratios[-1],
             worst, row["first_ms"] / 1e3), flush=True)
    if max(a) > 1.3 * min(a):
        print("            the machine was busy: our own medians spread from %.1f to %.1f ms" % (min(a), max(a)))
    if worst > 1e-3:
        sys.exit("bench: the outputs of %s do not agree" % name)
    return row


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    print("batch 1 at 480x640, %d threads, medians of %d rounds of %d runs, the two in turn" % (args.threads, args.rounds, args.runs))
    rows = [bench(*case, args) for case in CASES]
    with open(os.path.join(args.build, "bench.json"), "w") as f:
        json.dump(rows, f, indent=1)


if __name__ == "__main__":
    main()
