"""One network for peers that read files: ONNX by PyTorch's own exporter, ncnn's format by pnnx.

    export.py GRAPH.txt WEIGHTS.npz INPUTS.npz OUT.onnx|OUT.ncnn.param
"""
import json
import os
import sys
import warnings

import numpy as np
import torch

from graph_torch import Network

warnings.filterwarnings("ignore")


class Positional(torch.nn.Module):
    """Inputs in order, outputs as a tuple: what exporters like."""

    def __init__(self, network, wanted):
        super().__init__()
        self.network, self.wanted = network, wanted

    def forward(self, *inputs):
        result = self.network(dict(zip(self.network.inputs, inputs)))
        return tuple(result[w] for w in self.wanted)


def main():
    graph, weights, inputs, out = sys.argv[1:]
    text = open(graph).read()
    wanted = json.loads(text.splitlines()[0][1:])
    network = Network(text, dict(np.load(weights)), wanted, False).eval()
    values = tuple(torch.from_numpy(np.load(inputs)[k]) for k in network.inputs)
    model = Positional(network, wanted).eval()
    with torch.inference_mode():
        if out.endswith(".onnx"):
            torch.onnx.export(model, values, out, input_names=list(network.inputs), output_names=wanted, opset_version=17, dynamo=False)
        else:
            import pnnx
            stem = out[:-len(".ncnn.param")]
            os.makedirs(os.path.dirname(stem), exist_ok=True)
            pnnx.export(model, stem + ".pt", values, fp16=False)


if __name__ == "__main__":
    main()
