"""Times our compiled networks against every peer in one run and checks that outputs agree. Writes BUILD/bench.json.

    bench.py BUILD_DIR [--device cpu|cuda:0] [--mode inference|training] [--only NETWORK,...] [--peers NAME,...]
             [--rounds N] [--threads N] [--precision f32|tf32]

Each side is a process that stays (serve.py, run_model.c). Ours and one peer's take turns, a few runs each, and sleep
while it is the other's turn; the ratio is the median of the turns' ratios.
"""
import argparse
import json
import os
import shutil
import statistics
import struct
import subprocess
import sys
import time

import numpy as np

from graph_text import parse

NETWORKS = {"inference": ["ghost_unet", "meta_unet", "adabins", "bts", "ldrn", "stack"],
            "training": ["meta_unet", "adabins", "bts", "ldrn"]}
PARTS = ["adabins", "bts", "ldrn", "meta_unet"]  # of the stack
SIZES = {"inference": ["N=1", "H=480", "W=640"], "training": ["N=4", "H=416", "W=544"]}
PEERS = {"inference": ["eager", "channels_last", "compiled", "onnxruntime", "openvino", "ncnn"],
         "training": ["eager", "channels_last", "compiled", "jax"]}
# How far outputs may be apart. A softmax over bins whose logits are in the hundreds magnifies rounding: the peers of
# adabins are 1e-3 apart among themselves. In training dropout draws other numbers in each.
LIMITS = {("adabins", "inference"): 3e-3, ("stack", "inference"): 1e-2, ("adabins", "training"): 5e-2}
HERE = os.path.dirname(os.path.abspath(__file__))
REST = 0.3  # seconds between turns: the other side's threads go to sleep
TURN = 1.2  # seconds that a turn takes at least, in whole runs: the first after a rest is slower
PATIENCE = 1800  # seconds for a peer's first result


def save_safetensors(path, tensors):
    header, blobs, at = {}, [], 0
    for name, value in tensors.items():
        blob = np.ascontiguousarray(value, np.float32).tobytes()
        header[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # as safetensors does: floats can be read where they lie
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
        if name.startswith("adamw."):
            value = np.zeros(shape)
        elif name.endswith("running_var"):
            value = rng.uniform(0.75, 1.25, shape)
        elif len(shape) == 4:
            value = rng.normal(0, np.sqrt(1 / np.prod(shape[1:])), shape)
        elif name.endswith("weight"):
            value = rng.uniform(0.8, 1.2, shape)
        else:
            value = rng.uniform(-0.1, 0.1, shape)
        weights[name] = value.astype(np.float32)
    return weights


class Server:
    """A process that serves timed runs."""

    def __init__(self, command, **environment):
        env = dict(os.environ, PYTHONPATH=HERE, OMP_WAIT_POLICY="PASSIVE", **environment)
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
        self.about = self.answer()
        self.runs = 1

    def answer(self):
        for line in iter(self.process.stdout.readline, ""):
            if line.startswith("{"):  # some peers print
                return json.loads(line)
        raise RuntimeError(self.process.stderr.read()[-400:].strip() or "ended with %s" % self.process.wait())

    def ask(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def warm(self):
        least = min(self.ask("run", 2)["ms"])
        self.runs = max(1, min(20, round(1e3 * TURN / least)))

    def turn(self):
        time.sleep(REST)
        return self.ask("run", self.runs)["ms"]

    def end(self):
        self.process.stdin.close()
        peak = self.answer()["peak_bytes"]
        self.process.wait()
        return peak


def as_written(command):
    """The graph as the network's text says it: no pass has rewritten it, only what nothing needs is left out."""
    passes = subprocess.run(command + ["--dump-passes", "--out=" + os.devnull], stderr=subprocess.PIPE, text=True, check=True).stderr
    names = [line.split()[1] for line in passes.splitlines() if line.startswith("# ")]
    assert "compose" in names, passes[:300]
    command = command + ["--disable=" + name for name in names if name != "dce"]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


class Case:
    """A network's graph text, weights and inputs, in files."""

    def __init__(self, name, mode, args):
        work = os.path.join(args.build, "bench")
        os.makedirs(work, exist_ok=True)
        self.name, self.mode, self.args = name, mode, args
        self.base = os.path.join(work, "%s_%s" % (name, mode))
        self.training = ["--training"] if mode == "training" else []
        sizes = SIZES[mode] if args.device == "cpu" or mode == "inference" else ["N=%d" % args.batch] + SIZES[mode][1:]
        self.bindings = sizes + (["inputs=rgbd"] if name == "meta_unet" else [])
        batch, dims = sizes[0][2:], ",".join(sizes[1:])
        command = [os.path.join(args.build, "sgc"), "compile", "models/%s.net" % name, "--emit=graph", "-b", batch, "--dim", dims]
        command += ["--arg", "inputs=rgbd"] if name == "meta_unet" else []
        text = as_written(command + self.training)
        nodes, outputs = parse(text)
        self.wanted = ["loss"] if self.training else list(outputs)
        rng = np.random.default_rng(2)
        self.weights = random_weights(nodes)
        self.inputs = {n["name"]: rng.uniform(0.5, 2, n["shape"]).astype(np.float32)
                       for n in nodes if n["op"] == "input" and n["name"] not in ("hyper", "random_key")}
        with open(self.base + ".txt", "w") as f:
            f.write("#%s\n%s" % (json.dumps(self.wanted), text))
        np.savez(self.base + ".weights.npz", **self.weights)
        np.savez(self.base + ".inputs.npz", **self.inputs)
        save_safetensors(self.base + ".safetensors", {**self.weights, **{"input/" + k: v for k, v in self.inputs.items()}})

    def ours(self, **environment):
        where = str(self.args.threads) if self.args.device == "cpu" else self.args.device
        return Server([os.path.join(self.args.build, "run_model")] + self.training + ["models/%s.net" % self.name, self.base + ".safetensors",
                      where] + self.bindings, **environment)

    def exported(self, suffix):
        path = self.base + suffix
        done = subprocess.run([sys.executable, os.path.join(HERE, "export.py")] + self.files() + [path], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise RuntimeError(done.stdout[-400:])
        return path

    def files(self):
        return [self.base + s for s in (".txt", ".weights.npz", ".inputs.npz")]

    def peer(self, how):
        threads = ["--threads", str(self.args.threads)]
        if how in ("onnxruntime", "openvino", "ncnn"):
            path = self.exported(".ncnn.param" if how == "ncnn" else ".onnx")
            command = ["peer_file.py", path, self.base + ".inputs.npz", ",".join(self.wanted), "--how", how] + threads
        elif how == "jax":
            command = ["peer_jax.py"] + self.files() + self.training + threads
        else:
            command = ["peer_torch.py"] + self.files() + self.training + threads + ["--how", how, "--device", self.args.device, "--precision",
                                                                                    self.args.precision]
        return Server(["timeout", str(PATIENCE), sys.executable, os.path.join(HERE, command[0])] + command[1:])

    def difference(self, peer):
        """The largest difference of outputs, as a share of their range. Where a random network divides by nearly nothing
        (the planes of bts) single pixels differ more: one in a thousand is left out."""
        peer.ask("outputs", self.base + ".peer.npz")
        mine, theirs = load_safetensors(self.base + ".ours"), np.load(self.base + ".peer.npz")
        share = lambda k: np.quantile(np.abs(mine[k].reshape(-1) - theirs[k].reshape(-1)), 0.999) / np.abs(theirs[k]).max()
        return max(float(share(k)) for k in self.wanted)


def against(case, ours, how):
    """One peer's row, or why there is none."""
    try:
        peer = case.peer(how)
        worst = case.difference(peer)  # after one run: those of training change the weights
        peer.warm()
    except RuntimeError as error:
        return {"peer": how, "error": str(error).splitlines()[-1][:160]}
    rounds = [(ours.turn(), peer.turn()) for _ in range(case.args.rounds)]
    ratios = sorted(statistics.median(b) / statistics.median(a) for a, b in rounds)
    return {"peer": how, "version": peer.about["version"], "ours_ms": [statistics.median(a) for a, _ in rounds],
            "ms": statistics.median(statistics.median(b) for _, b in rounds), "min_ms": min(min(b) for _, b in rounds),
            "ours_min_ms": min(min(a) for a, _ in rounds), "ratio": statistics.median(ratios), "ratio_range": [ratios[0], ratios[-1]],
            "first_ms": peer.about["first_ms"], "peak_bytes": peer.end(), "difference": worst, "operations": peer.about.get("operations")}


def bench(name, mode, machine, args):
    case = Case(name, mode, args)
    cold = os.path.join(args.build, "bench", "cold")
    shutil.rmtree(cold, ignore_errors=True)
    first = case.ours(SGC_CACHE=cold)
    first.end()
    ours = case.ours(SGC_CACHE=cold)  # what has been compiled is there now
    ours.ask("outputs", case.base + ".ours")
    ours.warm()
    peers = [p for p in PEERS[mode] if p in args.peers and (args.device == "cpu" or p in ("eager", "channels_last", "compiled"))]
    rows = [against(case, ours, how) for how in peers]
    good = [r for r in rows if "error" not in r]
    if not good:
        sys.exit("bench: no peer ran %s: %s" % (name, rows))
    best, mine = min(good, key=lambda r: r["ratio"]), [v for r in good for v in r["ours_ms"]]
    about, median = ours.about, statistics.median(mine)
    row = {"network": name, "mode": mode, "ours_ms": median, "ours_min_ms": min(r["ours_min_ms"] for r in good), "best_peer": best["peer"],
           "best_peer_ms": best["ms"], "ratio": best["ratio"], "ratio_range": best["ratio_range"], "spread": max(mine) / min(mine),
           "gflops": 2e-6 * about["multiply_adds"] / median, "multiply_adds": about["multiply_adds"],
           "gbytes": 1e-6 * about["bytes"] / median, "kernels": about["kernels"], "plan_bytes": about["plan_bytes"],
           "peak_bytes": ours.end() if machine else about["plan_bytes"], "cold_ms": first.about["first_ms"], "warm_ms": about["first_ms"],
           "difference": max(r["difference"] for r in good), "peers": rows}
    if machine:
        row.update(peak_share=row["gflops"] / machine["gflops"], bandwidth_share=row["gbytes"] / machine["gbytes"])
    show(row)
    limit = LIMITS.get((name, mode), 1e-3 if args.precision == "f32" else 2e-2)
    if not row["difference"] <= limit:
        sys.exit("bench: the outputs of %s do not agree" % name)
    return row


def show(row):
    """A GPU's peaks are not measured: there the rates stand alone, and peak memory is the GPU's."""
    reached = "%2.0f %% of multiply-adds, %2.0f %% of bandwidth" % (100 * row["peak_share"], 100 * row["bandwidth_share"]) \
        if "peak_share" in row else "%.1f TFLOP/s, %.0f GB/s" % (1e-3 * row["gflops"], row["gbytes"])
    print("%-10s %-9s %8.2f ms (least %.2f)  %.2fx %s (%.2f to %.2f)  %s  %.0f MB  cold %.1f s, warm %.2f s  differ by %.0e%s"
          % (row["network"], row["mode"], row["ours_ms"], row["ours_min_ms"], row["ratio"], row["best_peer"], *row["ratio_range"],
             reached, row["peak_bytes"] / 1e6, row["cold_ms"] / 1e3, row["warm_ms"] / 1e3,
             row["difference"], "  BUSY MACHINE: our medians spread %.1fx" % row["spread"] if row["spread"] > 1.3 else ""))
    for r in row["peers"]:
        if "error" in r:
            print("           %-14s does not run it: %s" % (r["peer"], r["error"]))
        else:
            print("           %-14s %8.2f ms (least %.2f)  %.2fx (%.2f to %.2f)  %.0f MB  first result after %.1f s  differs by %.0e"
                  % (r["peer"], r["ms"], r["min_ms"], r["ratio"], *r["ratio_range"], r["peak_bytes"] / 1e6, r["first_ms"] / 1e3, r["difference"]))
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--mode", choices=list(NETWORKS))
    parser.add_argument("--only", type=lambda s: s.split(","))
    parser.add_argument("--peers", type=lambda s: s.split(","), default=sorted({p for ps in PEERS.values() for p in ps}))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=16, help="of a training step on a GPU")
    parser.add_argument("--precision", default="f32", choices=["f32", "tf32"])
    args = parser.parse_args()
    machine, sizes = None, "inference %s, training step N=%d %s" % (" ".join(SIZES["inference"]), args.batch, " ".join(SIZES["training"][1:]))
    if args.device == "cpu":
        machine = json.loads(subprocess.run([os.path.join(args.build, "machine"), str(args.threads)], stdout=subprocess.PIPE, check=True).stdout)
        sizes = "%d threads: %.0f GFLOP/s, %.1f GB/s; inference %s, training step %s" % (
            args.threads, machine["gflops"], machine["gbytes"], " ".join(SIZES["inference"]), " ".join(SIZES["training"]))
    print("%s, %s; %d rounds in turn" % (args.device, sizes, args.rounds))
    rows = []
    for mode in NETWORKS:
        for name in NETWORKS[mode]:
            if args.mode in (None, mode) and (not args.only or name in args.only):
                rows.append(bench(name, mode, machine, args))
                with open(os.path.join(args.build, "bench.json" if args.device == "cpu" else "bench_gpu.json"), "w") as f:
                    json.dump({"machine": machine, "rows": rows}, f, indent=1)
    ms = {r["network"]: r["ours_ms"] for r in rows if r["mode"] == "inference"}
    if all(n in ms for n in PARTS + ["stack"]):
        print("the stack takes %.3f times what its parts take" % (ms["stack"] / sum(ms[n] for n in PARTS)))


if __name__ == "__main__":
    main()
