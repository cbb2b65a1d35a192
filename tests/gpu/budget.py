#!/usr/bin/python3
"""Holds counters of the networks' kernels on a GPU against budgets: launches, spills, sectors of memory for each ideal
one, multiply-adds. Needs NVRTC, no GPU.

    budget.py SGC BUDGET.tsv [NETWORK...]     of each line ok or FAILED; ends with a tally
    budget.py SGC BUDGET.tsv --bless          writes the counters as the new budgets
"""
import json
import subprocess
import sys

COLUMNS = ["network", "mode", "target", "launches", "sectors", "worst"]


def read(path):
    lines = [l.split() for l in open(path) if l.strip() and not l.startswith("#")]
    assert lines[0] == COLUMNS, "columns are " + " ".join(COLUMNS)
    return [dict(zip(COLUMNS, l)) for l in lines[1:]]


def explain(sgc, row):
    command = [sgc, "explain", "models/%s.net" % row["network"], "--target=cuda:" + row["target"], "--json"]
    run = subprocess.run(command + (["--training"] if row["mode"] == "training" else []), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         text=True)
    if run.returncode == 5:
        print("skipped %s %s: %s" % (row["network"], row["mode"], run.stderr.strip()[:200]))
        return None
    if run.returncode:
        sys.exit("budget: %s ended with %d: %s" % (" ".join(command), run.returncode, run.stderr))
    return json.loads(run.stdout)


def worst(kernels):
    """The kernel with the most sectors for each ideal one, of those that make up a hundredth of all traffic."""
    total = sum(k["sectors"] for k in kernels)
    heavy = [k for k in kernels if k["sectors"] > total / 100] or kernels
    return max(heavy, key=lambda k: k["sectors"] / max(1, k["ideal_sectors"]))


def main():
    sgc, path, names = sys.argv[1], sys.argv[2], [a for a in sys.argv[3:] if a != "--bless"]
    rows, passed, failed, skipped = read(path), 0, 0, 0
    for row in rows:
        if names and row["network"] not in names:
            continue
        counters = explain(sgc, row)
        if counters is None:
            skipped += 1
            continue
        heavy = worst(counters["kernels"])
        now = {"launches": counters["launches"], "sectors": counters["sectors"] / counters["ideal_sectors"],
               "worst": heavy["sectors"] / max(1, heavy["ideal_sectors"])}
        spilling = [k["symbol"] for k in counters["kernels"] if k["spills"]]
        wrong = ["%s %.4g, budget %s" % (k, v, row[k]) for k, v in now.items() if v > float(row[k]) * 1.0001]
        wrong += ["%d kernels spill: %s" % (len(spilling), spilling[0])] if spilling else []
        print("%s %s %s: %d launches for %d operations, %.2f sectors an ideal one, %.2f in the worst large kernel (%s)%s"
              % ("FAILED" if wrong else "ok", row["network"], row["mode"], now["launches"], counters["operations"], now["sectors"],
                 now["worst"], heavy["symbol"], ": " + "; ".join(wrong) if wrong else ""), flush=True)
        passed, failed = passed + (not wrong), failed + bool(wrong)
        row.update(launches=now["launches"], sectors="%.3f" % (now["sectors"] + 0.005), worst="%.3f" % (now["worst"] + 0.005))
    if "--bless" in sys.argv:
        comments = [l for l in open(path) if l.startswith("#")]
        with open(path, "w") as f:
            f.writelines(comments + ["\t".join(str(row[c]) for c in COLUMNS) + "\n" for row in [dict(zip(COLUMNS, COLUMNS))] + rows])
    print("gpu budget: %d passed, %d failed, %d skipped" % (passed, failed, skipped))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
