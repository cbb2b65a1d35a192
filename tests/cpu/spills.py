"""The micro-kernels of every CPU that we know, as GCC makes them: register tiles stay in registers, products are added in
one instruction, and the machine's registers are used.

usage: spills.py SGC MODEL.net [KIND...]

All micro-kernels are looked at, whichever of them the model calls, but for Winograd's transforms, which turn a tile in
arrays of their own. What counts are the straight pieces of innermost loops that hold sixteen multiply-adds or more: few
values may go to the stack in them and come back. A vector that is wanted after the loop alone, or a constant, may lie
there. Ends with a tally.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

# machine, floats a vector, registers, instructions that multiply and add (without: additions), tiles of the matrix
# product that must be there: pixels x vectors, and how many of these an accumulator holds
KINDS = {
    "neon": ("aarch64", 4, 32, r"fml[as]", ["16x1", "12x2", "8x3"]),
    "avx512vl": ("x86_64", 8, 32, r"vfn?m(add|sub)\d+ps", ["16x1", "16x2/2", "12x4/2", "8x6/2"]),
    "avx512": ("x86_64", 16, 32, r"vfn?m(add|sub)\d+ps", ["16x1", "12x2", "8x3"]),
    "avx2": ("x86_64", 8, 16, r"vfn?m(add|sub)\d+ps", ["8x1", "6x2"]),
    "sse2": ("x86_64", 4, 16, r"addps", ["8x1", "6x2"]),
}
VECTOR = {"aarch64": r"\b[qv](\d+)\b", "x86_64": r"%[xyz]mm(\d+)"}
STACK = {"aarch64": r"\[sp\b", "x86_64": r"\(%rsp"}
NUMBER = r"(vbroadcastss|movss|ld1r)\b"  # of a table, which may lie on the stack
STORE = {"aarch64": r"st\w*\s", "x86_64": r"v?mov\w+\s+%[xyz]mm\d+,"}
JUMP = r"(j\w+|b|b\.?\w\w|cbn?z|tbn?z)\s+(?:.*,\s*)?(\.L\w+)$"
STORES, LOADS = 1 / 16, 1 / 8  # most for a multiply-add

passed = failed = skipped = 0


def check(condition, text):
    global passed, failed
    if condition:
        passed += 1
    else:
        failed += 1
        print("FAILED spills: " + text)


def functions(assembly):
    """Lines of instructions and local labels by function."""
    out, lines = {}, []
    for line in assembly.split("\n"):
        named = re.match(r"([A-Za-z_]\w*):", line)
        if named:
            lines = out.setdefault(named.group(1), [])
        line = line.strip()
        if re.match(r"\.L\w+:", line) or re.match(r"[a-z]", line):
            lines.append(line)
    return out


def blocks(lines):
    """Basic blocks and the numbers of their successors."""
    out, label = [[]], {}
    for line in lines:
        if line.startswith(".L"):
            if out[-1]:
                out.append([])
            label[line[:-1]] = len(out) - 1
            continue
        out[-1].append(line)
        if re.match(r"(j\w+|b|b\.?\w\w|cbn?z|tbn?z|ret|br)\b", line):
            out.append([])
    successors = []
    for i, block in enumerate(out):
        last = block[-1] if block else ""
        jump = re.match(JUMP, last)
        to = [label[jump.group(2)]] if jump and jump.group(2) in label else []
        ends = re.match(r"(jmp|ret|br|b)\b(?!\.)", last)
        if not ends and i + 1 < len(out):
            to.append(i + 1)
        successors.append(to)
    return out, successors


def innermost(successors):
    """Blocks of natural loops that hold no other loop."""
    reached, todo = {0}, [0]
    while todo:
        for to in successors[todo.pop()]:
            if to not in reached:
                reached.add(to)
                todo.append(to)
    before = {i: [k for k in reached if i in successors[k]] for i in reached}
    dominators = {i: set(reached) for i in reached}
    dominators[0], changed = {0}, True
    while changed:
        changed = False
        for i in sorted(reached - {0}):
            new = set.intersection(*(dominators[k] for k in before[i])) | {i}
            changed |= new != dominators[i]
            dominators[i] = new
    loops = {}
    for i in reached:
        for head in successors[i]:
            if head not in dominators[i]:
                continue
            body, todo = loops.setdefault(head, {head}), [i]
            while todo:
                k = todo.pop()
                if k not in body:
                    body.add(k)
                    todo += before[k]
    return set().union(*(body for head, body in loops.items() if not any(k != head and k in body for k in loops)), set())


def compiler_for(machine):
    here = machine == platform.machine()
    return shutil.which("gcc" if here else machine + "-linux-gnu-gcc")


def assembly_of(sgc, model, kind, compiler):
    command = [sgc, "compile", model, "--target=cpu:" + kind, "--emit=assembly"]
    environment = dict(os.environ, CC=compiler + " -fkeep-static-functions")
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def judge(kind, assembly):
    machine, vector, registers, multiply_add, tiles = KINDS[kind]
    hot, widest = {}, 0
    for name, lines in functions(assembly).items():
        if not name.startswith("sg_") or name.startswith("sg_winograd_"):
            continue
        parts, successors = blocks(lines)
        for i in innermost(successors):
            adds = sum(bool(re.match(multiply_add, line)) for line in parts[i])
            if adds < 16:
                continue
            hot[name] = max(hot.get(name, 0), adds)
            spilled = [line for line in parts[i] if re.search(STACK[machine], line) and re.search(VECTOR[machine], line)
                       and not re.match(NUMBER, line)]
            stores = sum(bool(re.match(STORE[machine], line)) for line in spilled)
            most = LOADS * adds if name.startswith(("sg_tile", "sg_chain")) else adds  # elsewhere a loop's constants may lie there
            check(stores <= STORES * adds and len(spilled) - stores <= most,
                  f"{kind}: {name} stores {stores} and loads {len(spilled) - stores} vectors of the stack for {adds} "
                  "multiply-adds")
            used = {number for line in parts[i] for number in re.findall(VECTOR[machine], line)}
            widest = max(widest, len(used))
    for tile in tiles:
        tile, _, paired = tile.partition("/")
        pixels, vectors = map(int, tile.split("x"))
        found = hot.get(f"sg_tile_{tile}_b1", 0)
        check(found == pixels * vectors * vector // int(paired or 1), f"{kind}: {found} multiply-adds in a step of {tile}")
    check(widest > registers * 3 / 4, f"{kind}: at most {widest} of {registers} registers are used at once")
    print(f"spills: {kind}: {len(hot)} micro-kernels, up to {widest} of {registers} registers")


def main():
    global skipped
    sgc, model, kinds = sys.argv[1], sys.argv[2], sys.argv[3:] or list(KINDS)
    compilers = {kind: compiler_for(KINDS[kind][0]) for kind in kinds}
    with ThreadPoolExecutor(2) as pool:
        runs = {kind: pool.submit(assembly_of, sgc, model, kind, compilers[kind]) for kind in kinds if compilers[kind]}
    for kind in kinds:
        if not compilers[kind]:
            print(f"skipped: {kind}: no GCC for {KINDS[kind][0]}")
            skipped += 1
            continue
        run = runs[kind].result()
        check(run.returncode == 0, f"{kind}: {run.stderr[:400]}")
        if run.returncode == 0:
            judge(kind, run.stdout)
    print(f"spills: {passed} passed, {failed} failed, {skipped} skipped")
    return failed > 0


sys.exit(main())
