"""One network in PyTorch, as a process that serves timed runs (serve.py).

    peer_torch.py GRAPH.txt WEIGHTS.npz INPUTS.npz --how eager|channels_last|compiled [--training] [--device cpu] [--threads N]
                  [--precision f32|tf32]
"""
import argparse
import json

import numpy as np
import torch

from graph_torch import Network
from serve import serve


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs=3)
    parser.add_argument("--how", default="eager", choices=["eager", "channels_last", "compiled"])
    parser.add_argument("--training", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", default="f32", choices=["f32", "tf32"])
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = args.precision == "tf32"
    torch.backends.cudnn.benchmark = True
    text = open(args.files[0]).read()
    wanted = ["loss"] if args.training else json.loads(text.splitlines()[0][1:])
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
                result = model(inputs)
        else:
            optimizer.zero_grad(set_to_none=True)
            result = model(inputs)
            result["loss"].backward()
            norm = torch.nn.utils.clip_grad_norm_(network.parameters(), 0.1)
            optimizer.step()
            result = {"loss": result["loss"], "grad_norm": norm}
        if args.device != "cpu":
            torch.cuda.synchronize()
        return result

    serve(step, lambda result: {k: v.detach().cpu().numpy() for k, v in result.items()}, "torch " + torch.__version__,
          operations=network.operations,
          memory=torch.cuda.max_memory_allocated if args.device != "cpu" else None)


if __name__ == "__main__":
    main()
