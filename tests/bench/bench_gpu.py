"""Times our networks on a GPU against PyTorch, eager and compiled, in alternating processes; checks that outputs agree.
Writes BUILD/bench_gpu.json.

    bench_gpu.py BUILD_DIR [--device cuda:0] [--rounds 3] [--runs 30] [--precision f32] [--only meta_unet]
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

import numpy as np

from bench import call, load_safetensors, random_weights, save_safetensors
from graph_onnx import parse

NETWORKS = ["meta_unet", "ghost_unet", "adabins", "bts", "ldrn", "stack"]
# The graph as the text says it.
PLAIN = ["--disable=" + p for p in ("expand", "interp", "affine", "fold", "algebra", "cse", "setup", "layout", "fuse", "concat")]


def prepare(name, training, batch, dims, args):
    """Graph text, weights and inputs in files."""
    work = os.path.join(args.build, "bench_gpu")
    os.makedirs(work, exist_ok=True)
    base = os.path.join(work, "%s_%s" % (name, "training" if training else "inference"))
    command = [os.path.join(args.build, "sgc"), "compile", "models/%s.net" % name, "--emit=graph", "-b", str(batch), "--dim", dims] + PLAIN
    text = subprocess.run(command + (["--training"] if training else []), stdout=subprocess.PIPE, text=True, check=True).stdout
    nodes, outputs = parse(text)
    weights, rng = random_weights(nodes), np.random.default_rng(2)
    inputs = {n["name"]: rng.uniform(0.5, 2, n["shape"]).astype(np.float32) for n in nodes if n["op"] == "input"}
    with open(base + ".txt", "w") as f:
        f.write("#%s\n%s" % (json.dumps(list(outputs)), text))
    np.savez(base + ".weights.npz", **weights)
    np.savez(base + ".inputs.npz", **inputs)
    save_safetensors(base + ".safetensors", {**weights, **{"input/" + k: v for k, v in inputs.items()}})
    return base


def difference(name, base, batch, dims, args):
    """The largest difference between our outputs and PyTorch's, which stand in a file, as a share of the range. Where a
    random network divides by nearly nothing (the planes of bts) single pixels differ more: one in a thousand is left out."""
    call([os.path.join(args.build, "run_model"), "models/%s.net" % name, base + ".safetensors", base + ".ours", "1", args.device,
          "N=%d" % batch] + dims.split(","))
    mine, theirs = load_safetensors(base + ".ours"), np.load(base + ".out.npz")
    return max(float(np.quantile(np.abs(mine[k] - theirs[k]), 0.999) / np.abs(theirs[k]).max()) for k in theirs.files)


def bench(name, training, args):
    batch, dims = (args.batch, "H=416,W=544") if training else (1, "H=480,W=640")
    base = prepare(name, training, batch, dims, args)
    ours = [os.path.join(args.build, "sgrun"), "bench", "models/%s.net" % name, "--device", args.device, "--json", "-n", str(args.runs),
            "-b", str(batch), "--dim", dims, "--precision", args.precision] + (["--training"] if training else [])
    script = os.path.join(os.path.dirname(__file__), "peer_torch.py")
    peers = {how: [sys.executable, script, base + ".txt", base + ".weights.npz", base + ".inputs.npz", base + ".out.npz", "--how", how,
                   "--device", args.device, "--runs", str(args.runs), "--precision", args.precision] + (["--training"] if training else [])
             for how in ("eager", "compiled")}
    mine, theirs = [], {how: [] for how in peers}
    for _ in range(args.rounds):
        mine.append(call(ours))
        for how, command in peers.items():
            theirs[how].append(call(command))
    median = lambda rows: statistics.median(r["median_ms"] for r in rows)
    worst = 0 if training else difference(name, base, batch, dims, args)
    best = min(peers, key=lambda how: median(theirs[how]))
    row = {"network": name, "mode": "training" if training else "inference", "batch": batch, "ours_ms": median(mine),
           "eager_ms": median(theirs["eager"]), "compiled_ms": median(theirs["compiled"]), "best_peer": "torch " + best,
           "best_peer_ms": median(theirs[best]), "ratio": median(theirs[best]) / median(mine), "kernels": mine[0]["kernels"],
           "eager_operations": theirs["eager"][0]["operations"], "memory_bytes": mine[0]["memory_bytes"],
           "peer_memory_bytes": theirs[best][0]["memory_bytes"], "first_ms": mine[-1]["first_ms"],
           "peer_first_ms": theirs[best][-1]["first_ms"], "precision": args.precision, "difference": worst}
    print("%-10s %-9s ours %8.3f ms   eager %8.3f   compiled %8.3f   %.2fx the best   %4d kernels, %d operations   %.0f MB, %.0f MB   differ by %.1e"
          % (name, row["mode"], row["ours_ms"], row["eager_ms"], row["compiled_ms"], row["ratio"], row["kernels"],
             row["eager_operations"], row["memory_bytes"] / 1e6, row["peer_memory_bytes"] / 1e6, worst), flush=True)
    if worst > (1e-3 if args.precision == "f32" else 2e-2):
        sys.exit("bench: the outputs of %s do not agree" % name)
    return row


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--batch", type=int, default=16, help="of a training step")
    parser.add_argument("--precision", default="f32", choices=["f32", "tf32"])
    parser.add_argument("--only")
    args = parser.parse_args()
    print("inference: batch 1 at 480x640; training step: batch %d at 416x544; medians of %d rounds of %d runs in turn"
          % (args.batch, args.rounds, args.runs))
    rows = [bench(name, training, args) for name in NETWORKS if args.only in (None, name) for training in (False, True)]
    with open(os.path.join(args.build, "bench_gpu.json"), "w") as f:
        json.dump(rows, f, indent=1)


if __name__ == "__main__":
    main()
