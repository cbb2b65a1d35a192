"""What all peers share: a process that stays, and does timed runs when it is told to.

Commands come on stdin, a line each; every answer is a line of JSON on stdout:
    run N          {"ms": [...]}: N runs, each timed
    outputs FILE   {}: the outputs of the last run as .npz
The first line says that the network is ready: first_ms is the time from the start of the process to the first result.
At the end of stdin the last line is {"peak_bytes": ...}.
"""
import json
import os
import sys
import time

import numpy as np


def process_seconds():
    """Since the process began."""
    with open("/proc/self/stat") as f:
        started = int(f.read().rsplit(")", 1)[1].split()[19]) / os.sysconf("SC_CLK_TCK")
    with open("/proc/uptime") as f:
        return float(f.read().split()[0]) - started


def peak_bytes():
    with open("/proc/self/status") as f:
        return next(int(line.split()[1]) << 10 for line in f if line.startswith("VmHWM"))


def serve(step, to_numpy, version, memory=None, **about):
    """step() runs the network and waits for it; to_numpy(what it returns) gives a dict of arrays; memory() gives the most
    bytes ever held where that is not the process's."""
    result = step()
    say = lambda **what: print(json.dumps(what), flush=True)
    say(first_ms=1e3 * process_seconds(), version=version, **about)
    for line in sys.stdin:
        command, argument = line.split()
        if command == "run":
            times = []
            for _ in range(int(argument)):
                begin = time.perf_counter()
                result = step()
                times.append(1e3 * (time.perf_counter() - begin))
            say(ms=times)
        else:
            np.savez(argument, **to_numpy(result))
            say()
    say(peak_bytes=(memory or peak_bytes)())
