#!/usr/bin/python3
"""One training step of each network by `sgrun train` on a GPU and on four, real or simulated, against the reference.

    steps.py SGRUN [NETWORK...]     of each comparison ok or FAILED with its figures; ends with a tally

Compared after the step: loss and gradient's norm, the first moments of AdamW (the clipped gradient times a constant),
parameters where the gradient is not small (the first step is close to the learning rate times the gradient's sign, so
where it nearly vanishes rounding decides), running statistics, and the figures of a validation.

Few pictures make batch statistics that blow rounding up, and a ReLU may fall on the other side of its kink. How much
that is, is measured: by what the CPU's kernels, whose sums go in another order, are off from the reference evaluator.
GPUs may be off by four times as much, and what stands below. (A stack whose base learners are trained along is no case:
so small and fresh, its gradient on the CPU is off by 17 %.)
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

import numpy as np

SMALL_VIT = {"patch": "4", "queries": "8", "positions": "64"}
NETWORKS = {
    "ghost_unet": {},
    "bts": {},
    "ldrn": {},
    "adabins": SMALL_VIT,
    "stack": SMALL_VIT,  # trains meta_unet on top of the others, which are frozen
}
OPTIONS = ["-q", "--no-tensorboard", "--height=64", "--width=64", "--batch=5", "--epochs=2", "--until=1", "--set=rooms=5",
           "--set=validation_rooms=2"]
RUNS = {"reference": "--target=reference", "cpu": "--device=cpu", "one GPU": "--device=cuda:0", "four GPUs": "--devices=cuda:0-3"}

FACTOR = 4  # times what the control is off by
LOSS = 1e-5
ALL = 2e-3  # of the whole gradient, and of its norm (L2)
EACH = 3e-2  # of each tensor's gradient: one ReLU that falls on the other side of its kink is that much
SMALL = 1e-6  # of the whole gradient: what a tensor may be off by, however small it is
LARGE = 0.1  # of its tensor's largest: a gradient whose step is compared
STEP = 1e-2  # of the learning rate: what such a step may be off by
STATISTICS = 1e-5  # of a variance, or a mean in deviations
FIGURES = 1e-3  # of a validation's
ILL = 5e-2  # a control that is off by more proves nothing


def tensors(path):
    with open(path, "rb") as file:
        head = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    return {name: np.frombuffer(data[slice(*entry["data_offsets"])], np.float32).astype(np.float64)
            for name, entry in head.items() if name != "__metadata__" and entry["dtype"] == "F32"}


class Run:
    def __init__(self, sgrun, network, name, where):
        command = [sgrun, "train", "models/%s.net" % network, "--out=" + where, RUNS[name]] + OPTIONS
        command += ["--arg=%s=%s" % item for item in NETWORKS[network].items()]
        run = subprocess.run(command, env=dict(os.environ, SIMGPU_DEVICES="4"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             text=True)
        self.status, self.said = run.returncode, run.stdout
        if self.status != 75:  # stopped after the first epoch
            return
        lines = [json.loads(line) for line in open(where + "/log.jsonl")]
        self.step = next(line for line in lines if "grad_norm" in line)
        self.figures = next(line for line in lines if "abs_rel" in line)
        self.values = tensors(where + "/checkpoint.safetensors")
        self.moments = {name: value for name, value in self.values.items() if name.startswith("adamw.m.")}
        shutil.rmtree(where)


def norm(values):
    return np.sqrt(sum(float(value @ value) for value in values))


def relative(a, b):
    return abs(a - b) / abs(b)


def gradient_error(run, reference):
    """Of the whole gradient, and of each tensor."""
    off = {name: norm([run.moments[name] - value]) for name, value in reference.moments.items()}
    whole = norm(reference.moments.values())
    return norm([np.array(list(off.values()))]) / whole, {name: max(0, off[name] - SMALL * whole) / (norm([value]) + 1e-30)
                                                          for name, value in reference.moments.items()}


def step_error(run, reference):
    """Of parameters whose gradient is not small: in learning rates, but for the parameter's own last bits."""
    worst, least = 0, SMALL * norm(reference.moments.values())
    for name, moment in reference.moments.items():
        name = name[len("adamw.m."):]
        large = np.abs(moment) > max(least, LARGE * np.abs(moment).max())
        ours, theirs = run.values[name][large], reference.values[name][large]
        off = np.maximum(0, np.abs(ours - theirs) - 2.0**-22 * np.abs(theirs))
        worst = max(worst, off.max(initial=0) / reference.step["lr"])
    return worst


def statistics_error(run, reference):
    """Variances: of the tensor's largest; means: in the largest deviation."""
    worst = 0
    for name, value in reference.values.items():
        if ".running_" in name:
            largest = reference.values[name.replace("_mean", "_var")].max()
            worst = max(worst, np.abs(run.values[name] - value).max() / (largest if name.endswith("_var") else np.sqrt(largest)))
    return worst


def compare(network, runs):
    reference, cpu = runs["reference"], runs["cpu"]
    control_whole, control_each = gradient_error(cpu, reference)
    if control_whole > ILL:
        yield False, "%s: the CPU's gradient is off by %.1e: the case is too badly conditioned" % (network, control_whole)
    for name in ("one GPU", "four GPUs"):
        if name not in runs:
            continue
        run = runs[name]
        whole, each = gradient_error(run, reference)
        over = {key: off / (EACH + FACTOR * control_each[key]) for key, off in each.items()}
        worst = max(over, key=over.get)

        def scalar(lines, key, floor):
            want = getattr(reference, lines)[key]
            return key, relative(getattr(run, lines)[key], want), floor, relative(getattr(cpu, lines)[key], want)

        for what, off, floor, rounding in [
                scalar("step", "loss", LOSS), scalar("step", "grad_norm", ALL), ("gradient", whole, ALL, control_whole),
                ("gradient of " + worst[len("adamw.m."):], each[worst], EACH, control_each[worst]),
                ("step", step_error(run, reference), STEP, step_error(cpu, reference)),
                ("running statistics", statistics_error(run, reference), STATISTICS, statistics_error(cpu, reference)),
                scalar("figures", "abs_rel", FIGURES)]:
            bound = floor + FACTOR * rounding
            yield off <= bound, "%s on %s: %s is off by %.1e of %.1e" % (network, name, what, off, bound)


def main():
    sgrun, names, passed, failed, skipped = sys.argv[1], sys.argv[2:] or list(NETWORKS), 0, 0, 0
    for network in names:
        runs, results = {}, []
        with tempfile.TemporaryDirectory() as where:
            for name in RUNS:
                run = Run(sgrun, network, name, os.path.join(where, name))
                if run.status == 75:
                    runs[name] = run
                elif name == "four GPUs" and "no cuda:" in run.said:
                    skipped += 1
                    print("skipped %s on %s: %s" % (network, name, run.said.strip()[:200]))
                else:
                    results.append((False, "%s on %s: exit status %d: %s" % (network, name, run.status, run.said[-600:])))
        for good, text in results or compare(network, runs):
            print("ok" if good else "FAILED", text, flush=True)
            passed, failed = passed + good, failed + (not good)
    print("steps: %d passed, %d failed" % (passed, failed) + (", %d skipped" % skipped if skipped else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
