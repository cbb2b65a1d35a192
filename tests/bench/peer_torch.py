"""One network in PyTorch, timed: prints a JSON object; run in a process of its own.

    peer_torch.py GRAPH.txt WEIGHTS.npz INPUTS.npz OUT.npz --how eager|channels_last|compiled [--training] [--device cpu]
                  [--runs N] [--threads N] [--precision f32|tf32]
"""
import argparse
import json
import time

import numpy as np
import torch

from graph_torch import Network


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs=4)
    parser.add_argument("--how", default="eager", choices=["eager", "channels_last", "compiled"])
    parser.add_argument("--training", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", default="f32", choices=["f32", "tf32"])
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = args.precision == "tf32"
    torch.backends.cudnn.benchmark = True
    text = open(args.files[0]).read()
    wanted = ["loss"] if args.training else json.loads(text.splitlines()[0][1:])
    started = time.perf_counter()
    network = Network(text, dict(np.load(args.files[1])), wanted, args.training).to(args.device)
    inputs = {k: torch.from_numpy(v).to(args.device) for k, v in np.load(args.files[2]).items() if k in network.inputs}
    if args.how == "channels_last":
        network = network.to(memory_format=torch.channels_last)
        inputs = {k: v.contiguous(memory_format=torch.channels_last) if v.dim() == 4 else v for k, v in inputs.items()}
    model = torch.compile(network, mode="max-autotune-no-cudagraphs" if args.device == "cpu" else "max-autotune") \
        if args.how == "compiled" else network
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-5, weight_decay=1e-4, fused=True) if args.training else None

    def step():
        if not args.training:
            with torch.inference_mode():
                return model(inputs)
        optimizer.zero_grad(set_to_none=True)
        result = model(inputs)
        result["loss"].backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 0.1)
        optimizer.step()
        return result

    def wait():
        if args.device != "cpu":
            torch.cuda.synchronize()

    result = step()
    wait()
    first = time.perf_counter() - started
    np.savez(args.files[3], **{k: v.detach().cpu().numpy() for k, v in result.items()})
    for _ in range(3):
        step()
    wait()
    times = []
    for _ in range(args.runs):
        begin = time.perf_counter()
        step()
        wait()
        times.append(time.perf_counter() - begin)
    times.sort()
    memory = torch.cuda.max_memory_allocated() if args.device != "cpu" else 0
    print(json.dumps({"median_ms": 1e3 * times[len(times) // 2], "min_ms": 1e3 * times[0], "first_ms": 1e3 * first,
                      "operations": network.operations, "memory_bytes": memory, "torch": torch.__version__}))


if __name__ == "__main__":
    main()
