#!/usr/bin/python3
"""Holds counters of compiled networks, which are stable where times are not, against budgets.

    budget.py BUILD TABLE.tsv [NETWORK|MODE...]   of each line ok or FAILED; ends with a tally
    budget.py BUILD TABLE.tsv --bless             writes the counters as the new budgets
    budget.py BUILD TABLE.tsv --plant PASS,...    leaves out one pass at a time: ok where some budget notices

A table's columns are what is counted in (KEYS) and counters (COUNTERS). A network "file.name" is a model of
tests/budget/file.net. A counter fails where it exceeds its budget by more than its slack; one that has become better by
BETTER asks to be blessed, so that what was won is kept. Plans need no machine, and those of GPUs need NVRTC; instructions
need callgrind (valgrind) and a machine that runs the target's code. What cannot be counted here is skipped.
"""
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
KEYS = ["network", "mode", "target", "size", "arguments"]  # size: 1x480x640, else the train block's; arguments: a=1,b=2
BETTER = 0.05


class Skip(Exception):
    """Why a counter cannot be had here."""


def worst(plan):
    """The kernel with the most sectors for each ideal one, of those that make up a hundredth of all traffic."""
    heavy = [k for k in plan["kernels"] if k["sectors"] > plan["sectors"] / 100] or plan["kernels"]
    return max(k["sectors"] / max(1, k["ideal_sectors"]) for k in heavy)


# name: (from what sgc explain says, slack)
COUNTERS = {"kernels": (lambda p: p["launches"], 0.02), "multiply_adds": (lambda p: p["multiply_adds"], 0.02),
            "bytes": (lambda p: p["bytes"], 0.02), "temporaries": (lambda p: p["temporaries"], 0.02),
            "slab": (lambda p: p["slab_bytes"], 0.02), "persistent": (lambda p: p["persistent_bytes"], 0.02),
            "instructions": (lambda p: p["instructions"], 0.02), "launches": (lambda p: p["launches"], 0.0001),
            "sectors": (lambda p: p["sectors"] / p["ideal_sectors"], 0.005), "worst": (worst, 0.005),
            "spilling": (lambda p: p["spilling"], 0)}


def read(path):
    lines = [l.split() for l in open(path) if l.strip() and not l.startswith("#")]
    unknown = [c for c in lines[0] if c not in KEYS and c not in COUNTERS]
    assert not unknown, "%s: unknown columns %s" % (path, unknown)
    return lines[0], [dict(zip(lines[0], l)) for l in lines[1:]]


def write(path, columns, rows):
    comments = [l for l in open(path) if l.startswith("#")]
    with open(path, "w") as f:
        f.writelines(comments + ["\t".join(str(row[c]) for c in columns) + "\n" for row in [dict(zip(columns, columns))] + rows])


def name_of(row):
    return " ".join(row[k] for k in KEYS if row.get(k, "-") != "-")


def run(command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
    if done.returncode == 5 and any("cuda:" in word for word in command):
        raise Skip((done.stderr.strip().splitlines() or [""])[0][:200])
    if done.returncode:
        sys.exit("budget: %s ended with %d: %s" % (" ".join(command), done.returncode, done.stderr[-2000:]))
    return done.stdout


class Sgc:
    """The compiler, with passes left out or not."""

    def __init__(self, build, without=None):
        self.build, self.options = build, ["--disable=" + without] if without else []

    def command(self, verb, row):
        folder, _, model = row["network"].rpartition(".")
        path = os.path.join(HERE, folder + ".net") if folder else "models/%s.net" % model
        command = [os.path.join(self.build, "sgc"), verb, path, "-m", model, "--target=" + row["target"]] + self.options
        if row.get("size", "-") != "-":
            n, height, width = row["size"].split("x")
            command += ["-b", n, "--dim", "H=%s,W=%s" % (height, width)]
        for argument in row.get("arguments", "-").split(","):
            command += ["--arg", argument] if argument != "-" else []
        return command + (["--training"] if row["mode"] == "training" else [])

    def plan(self, row):
        return json.loads(run(self.command("explain", row) + ["--json"]))

    def programs(self, rows):
        """Files with the rows' programs."""
        folder = os.path.join(self.build, "budget")
        os.makedirs(folder, exist_ok=True)
        paths = [os.path.join(folder, name_of(row).replace(" ", "_").replace(":", "_") + ".program") for row in rows]
        for path, row in zip(paths, rows):
            run(self.command("compile", row) + ["--emit=program", "--out", path])
        return paths

    def instructions(self, rows):
        """What the kernels of one run execute on one thread, by row; the machine code comes first, without valgrind."""
        if subprocess.run(["sh", "-c", "command -v valgrind"], stdout=subprocess.DEVNULL).returncode:
            raise Skip("no valgrind")
        if any(row["target"] == "cpu:avx2" for row in rows) and " avx2 " not in open("/proc/cpuinfo").read():
            raise Skip("this machine does not run AVX2")
        counter = os.path.join(self.build, "count_instructions")
        if subprocess.run([counter], stderr=subprocess.DEVNULL).returncode:
            raise Skip("count_instructions was built without valgrind's header")
        paths = self.programs(rows)
        run([counter] + paths)
        out = os.path.join(self.build, "budget", "callgrind.out")
        run(["valgrind", "-q", "--tool=callgrind", "--collect-atstart=no", "--callgrind-out-file=" + out, counter] + paths)
        counts = []
        for i, path in enumerate(paths, 1):
            words = dict(l.rstrip("\n").split(": ", 1) for l in open("%s.%d" % (out, i)) if l.startswith(("desc: Trigger", "totals: ")))
            assert words["desc"].endswith(path), "dump %d is not that of %s" % (i, path)
            counts.append(int(words["totals"]))
        return counts


def count(sgc, columns, rows):
    """The counters of each row, or None where it was skipped."""
    found = []
    try:
        instructions = sgc.instructions(rows) if "instructions" in columns else None
    except Skip as why:
        print("skipped all: %s" % why)
        return [None] * len(rows)
    for i, row in enumerate(rows):
        try:
            plan = {"instructions": instructions[i]} if instructions else sgc.plan(row)
            found.append({c: COUNTERS[c][0](plan) for c in columns if c in COUNTERS})
        except Skip as why:
            print("skipped %s: %s" % (name_of(row), why))
            found.append(None)
    return found


def text(value):
    return "%.3f" % value if isinstance(value, float) else str(value)


def exceeded(row, now):
    return ["%s %s, budget %s" % (c, text(v), row[c]) + (" (%+.1f %%)" % (100 * v / float(row[c]) - 100) if float(row[c]) else "")
            for c, v in now.items() if v > float(row[c]) * (1 + COUNTERS[c][1])]


def check(sgc, columns, rows):
    tally = [0, 0, 0]
    for row, now in zip(rows, count(sgc, columns, rows)):
        if now is None:
            tally[2] += 1
            continue
        wrong, won = exceeded(row, now), [c for c, v in now.items() if v < float(row[c]) * (1 - BETTER)]
        tally[bool(wrong)] += 1
        print("%s %s: %s%s" % ("FAILED" if wrong else "ok", name_of(row), ", ".join("%s %s" % (c, text(v)) for c, v in now.items()),
                               ": over the budget: " + "; ".join(wrong) if wrong else ""), flush=True)
        if won:
            print("note %s: better than its budget by more than %d %%, keep it with --bless: %s"
                  % (name_of(row), 100 * BETTER, ", ".join("%s %s, budget %s" % (c, text(now[c]), row[c]) for c in won)), flush=True)
        row.update((c, text(v)) for c, v in now.items())
    return tally


def plant(build, columns, rows, passes):
    tally = [0, 0, 0]
    for name in passes:
        found = count(Sgc(build, name), columns, rows)
        noticed = [(row, exceeded(row, now)) for row, now in zip(rows, found) if now and exceeded(row, now)]
        tally[0 if noticed else 2 if None in found else 1] += 1
        if noticed:
            print("ok without the pass %s: %d of %d lines notice: %s: %s"
                  % (name, len(noticed), len(rows), name_of(noticed[0][0]), "; ".join(noticed[0][1])), flush=True)
        elif None not in found:
            print("FAILED without the pass %s no line exceeds its budget" % name, flush=True)
    return tally


def main():
    words, options = [a for a in sys.argv[1:] if not a.startswith("--")], sys.argv
    planted = options[options.index("--plant") + 1].split(",") if "--plant" in options else []
    build, path, *names = [w for w in words if w != ",".join(planted)]
    columns, rows = read(path)
    chosen = rows
    for key in ("network", "mode"):
        named = {row[key] for row in rows} & set(names)
        chosen = [row for row in chosen if not named or row[key] in named]
    tally = plant(build, columns, chosen, planted) if planted else check(Sgc(build), columns, chosen)
    if "--bless" in options:
        write(path, columns, rows)
    print("budget %s: %d passed, %d failed, %d skipped" % (os.path.basename(path)[:-4], *tally))
    return 1 if tally[1] else 0


if __name__ == "__main__":
    sys.exit(main())
