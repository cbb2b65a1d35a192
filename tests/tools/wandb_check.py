"""wandb_check.py LOG FILE: what W&B keeps of a run offline, against the run's log.jsonl."""
import json, struct, sys
from wandb.proto import wandb_internal_pb2


def records(path):
    """The records of a .wandb file: LevelDB's log format behind 7 bytes of header."""
    data, at, whole = open(path, "rb").read(), 7, b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        _, size, kind = struct.unpack("<IHB", data[at : at + 7])
        part = data[at + 7 : at + 7 + size]
        at += 7 + size
        whole = part if kind in (1, 2) else whole + part
        if kind in (1, 4):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(whole)
            yield record


log = [json.loads(line) for line in open(sys.argv[1])]
got = {}
for record in records(sys.argv[2]):
    if record.WhichOneof("record_type") != "history":
        continue
    row = {(item.key or ".".join(item.nested_key)): json.loads(item.value_json) for item in record.history.item}
    step = row.get("global_step")
    for key, value in row.items():
        got[(key, step)] = value
for tag, key in (("train/loss", "loss"), ("train/lr", "lr"), ("val/abs_rel", "abs_rel")):
    want = {line["step"]: line[key] for line in log if key in line}
    have = {step: value for (name, step), value in got.items() if name == tag}
    assert set(want) == set(have), (tag, sorted(want), sorted(have))
    assert all(abs(have[s] - want[s]) <= 1e-6 * abs(want[s]) for s in want), tag
pictures = [v for (name, _), v in got.items() if name == "val/panel.format"]
assert pictures, "no panel: %s" % sorted({name for name, _ in got})
print("W&B has %d values and %d panels" % (len(got), len(pictures)))
