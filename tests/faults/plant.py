#!/usr/bin/python3
"""Plants faults into copies of the sources, one at a time, and sees whether the tests notice.

    plant.py BUILD LIST...      of each fault: ok, or FAILED where no test noticed; ends with a tally

A list holds faults as paragraphs of lines:
    fault NAME                  what is wrong, in a few words
    in FILE                     the source that is copied
    old TEXT                    found exactly once in it; \\n stands for a new line, \\\\n for these two characters
    new TEXT                    what takes its place
    test PROGRAM ARG...         a test program, relative to BUILD/tests, that must fail
    set NAME=VALUE ...          environment of that run
    seeds N                     run up to N times with SIMGPU_SEED = 1 .. N, until it fails

The changed file is compiled and linked in front of the libraries, so that it takes the place of the right one.
"""
import concurrent.futures
import os
import subprocess
import sys


def read(path):
    faults, fault = [], None
    for number, line in enumerate(open(path), 1):
        line = line.rstrip("\n")
        if not line or line.startswith("#"):
            continue
        key, _, value = line.partition(" ")
        if key == "fault":
            fault = {"fault": value, "set": {}, "seeds": "0", "line": number}
            faults.append(fault)
        elif key == "set":
            fault["set"].update(part.split("=", 1) for part in value.split())
        else:
            fault[key] = value
    return faults


def plant(build, fault, work):
    """Compiles the changed file and links the test program with it; the program's path, or None and the reason."""
    source = open(fault["in"]).read()
    old, new = (fault.get(k, "").replace(r"\\n", "\0").replace(r"\n", "\n").replace("\0", r"\n") for k in ("old", "new"))
    if source.count(old) != 1:
        return None, "the text to be replaced stands %d times in %s" % (source.count(old), fault["in"])
    name, words = fault["in"].replace("/", "_"), fault["test"].split()
    changed, binary = os.path.join(work, name), os.path.join(work, "program")
    with open(changed, "w") as f:
        f.write(source.replace(old, new))
    make = subprocess.run(["make", "-s", "BUILD=" + build, "plant", "SOURCE=" + changed, "PROGRAM=" + binary, "TEST=" + words[0]],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return (None, make.stdout[-1500:]) if make.returncode else (binary, "")


def noticed(fault, binary):
    """How the test noticed the fault: the first line that says so; None if it passed."""
    for seed in range(1, max(1, int(fault["seeds"])) + 1):
        env = dict(os.environ, **fault["set"])
        if fault["seeds"] != "0":
            env["SIMGPU_SEED"] = str(seed)
        try:
            run = subprocess.run([binary] + fault["test"].split()[1:], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                 errors="replace", timeout=300)
        except subprocess.TimeoutExpired:
            return "it did not end"
        if run.returncode:
            lines = [l for l in run.stdout.splitlines() if "FAILED" in l or "simgpu:" in l or "rror" in l]
            where = " (seed %d)" % seed if fault["seeds"] != "0" else ""
            return (lines[0] if lines else "exit status %d" % run.returncode)[:160] + where
    return None


def attempt(build, path, fault):
    """Whether the fault was noticed, and how or why not."""
    work = os.path.join(build, "faults", "%s.%d" % (os.path.basename(path), fault["line"]))
    os.makedirs(work, exist_ok=True)
    binary, why = plant(build, fault, work)
    how = noticed(fault, binary) if binary else None
    return bool(how), how or why or "no test noticed"


def main():
    build, passed, failed = sys.argv[1], 0, 0
    faults = [(path, fault) for path in sys.argv[2:] for fault in read(path)]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(lambda job: attempt(build, *job), faults)
        for (_, fault), (is_noticed, how) in zip(faults, found):
            passed, failed = passed + is_noticed, failed + (not is_noticed)
            print("%s %s: %s" % ("ok" if is_noticed else "FAILED", fault["fault"], how), flush=True)
    print("faults: %d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
