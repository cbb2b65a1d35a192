"""tensorboard_check.py DIR: a run's files as TensorBoard's own code and tbparse read them, against its log.jsonl."""
import json, sys
from tbparse import SummaryReader
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

directory = sys.argv[1]
log = [json.loads(line) for line in open(directory + "/log.jsonl")]
frame = SummaryReader(directory).scalars
events = EventAccumulator(directory, size_guidance={"scalars": 0, "images": 0})
events.Reload()
for tag, key in (("train/loss", "loss"), ("train/grad_norm", "grad_norm"), ("train/lr", "lr"), ("val/abs_rel", "abs_rel"), ("val/delta1", "delta1")):
    want = [(line["step"], line[key]) for line in log if key in line]
    theirs = [(event.step, event.value) for event in events.Scalars(tag)]
    parsed = frame[frame.tag == tag].drop_duplicates("step", keep="last").sort_values("step")
    for got in (theirs, list(zip(parsed.step, parsed.value))):
        assert [s for s, _ in got] == [s for s, _ in want], (tag, got, want)
        assert all(abs(a - b) <= 1e-6 * abs(b) for (_, a), (_, b) in zip(got, want)), tag
assert len(events.Images("val/panel")) == sum("mean_loss" in line for line in log)
graph = events.Graph()
assert any(node.name == "output/depth" for node in graph.node)
tensors = events.Tags()["tensors"]
assert "settings" in tensors and "_hparams_/session_start_info" in tensors
print("%d scalars, %d nodes" % (len(frame), len(graph.node)))
