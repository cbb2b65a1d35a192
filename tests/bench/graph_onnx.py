"""Our graph text to ONNX, with batch norm folded and biases inside convolutions: what a peer gets at its best."""
import re

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LINE = re.compile(r"^%(\d+) = (\w+)(.*)$")
ATTRIBUTE = re.compile(r"(\w+)=(\[[^\]]*\]|[^\s\[]+)")


def parse(text):
    """Nodes in order: dicts with id, op, name, args, attrs, shape; and the outputs by name."""
    nodes, outputs = [], {}
    for line in text.splitlines():
        line = line.strip()
        m = re.match(r'^output "?([^"=]+?)"? = %(\d+)', line)
        if m:
            outputs[m.group(1)] = int(m.group(2))
        m = LINE.match(line)
        if not m:
            continue
        head, _, tail = m.group(3).partition(" : ")
        node = {"id": int(m.group(1)), "op": m.group(2), "name": None, "args": [], "attrs": {}}
        args = re.match(r"\(([^)]*)\)", head)
        if args:
            node["args"] = [int(a) for a in re.findall(r"%(\d+)", args.group(1))]
            head = head[args.end():]
        else:
            name = re.match(r'\s+"?([\w.\-]+)"?', head)
            node["name"] = name.group(1) if name else None
        for key, value in ATTRIBUTE.findall(head):
            if value.startswith("["):
                value = [int(v) for v in value[1:-1].split(",") if v.strip()]
            node["attrs"][key] = value
        shape = re.match(r"\[([^\]]*)\]", tail)
        node["shape"] = [int(v) for v in shape.group(1).split(",") if v.strip()] if shape else []
        nodes.append(node)
    return nodes, outputs


def number(node, key, fallback=None):
    return float(node["attrs"].get(key, fallback))


ELEMENTWISE = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "sqrt": np.sqrt, "neg": np.negative,
    "rsqrt": lambda x: 1 / np.sqrt(x), "maximum": np.maximum, "minimum": np.minimum,
}
DIRECT = {"add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh",
          "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "neg": "Neg", "maximum": "Max", "minimum": "Min"}


class Exporter:
    def __init__(self, nodes, outputs, weights):
        self.nodes, self.outputs = {n["id"]: n for n in nodes}, outputs
        self.weights, self.constants, self.names = weights, {}, {}
        self.made, self.initializers, self.inputs = [], [], []
        self.uses = {}
        for n in nodes:
            for a in n["args"]:
                self.uses[a] = self.uses.get(a, 0) + 1

    def constant(self, n):
        """The node's value if it depends on weights only."""
        op, args = n["op"], [self.constants.get(a) for a in n["args"]]
        if op in ("param", "state"):
            return self.weights[n["name"]].astype(np.float64)
        if op == "fill":
            return np.full(n["shape"], number(n, "value"))
        if op == "input" or any(a is None for a in args):
            return None
        if op in ELEMENTWISE:
            return ELEMENTWISE[op](*args)
        if op in ("reshape", "broadcast"):
            return args[0].reshape(n["shape"]) if op == "reshape" else np.broadcast_to(args[0], n["shape"])
        if op == "transpose":
            return args[0].transpose(n["attrs"]["perm"])
        if op == "sum":
            return args[0].sum(tuple(n["attrs"]["axes"]), keepdims=n["attrs"].get("keep") == "true")
        raise ValueError("cannot fold %s" % op)

    def ref(self, i):
        if i in self.names:
            return self.names[i]
        name = "c%d" % i
        self.initializers.append(numpy_helper.from_array(self.constants[i].astype(np.float32), name))
        self.names[i] = name
        return name

    def vector(self, values):
        name = "k%d" % len(self.initializers)
        self.initializers.append(numpy_helper.from_array(values, name))
        return name

    def node(self, n, op, inputs, **attributes):
        out = "v%d" % n["id"]
        self.made.append(helper.make_node(op, inputs, [out], name=out, **attributes))
        self.names[n["id"]] = out

    def bias_of(self, n):
        """(conv node, bias) if n adds a per-channel constant to a convolution that nothing else uses."""
        if n["op"] != "add":
            return None
        for a, b in (n["args"], n["args"][::-1]):
            conv, bias = self.nodes[a], self.constants.get(b)
            if conv["op"] == "conv2d" and bias is not None and self.uses[a] == 1 and bias.size == conv["shape"][1]:
                return conv, bias
        return None

    def conv(self, n, conv, bias):
        attrs = conv["attrs"]
        value = lambda key, fallback: int(attrs.get(key, fallback))
        k, p = self.nodes[conv["args"][1]]["shape"][2:], value("padding", 0)
        inputs = [self.ref(a) for a in conv["args"]]
        if bias is not None:
            inputs.append(self.vector(bias.reshape(-1).astype(np.float32)))
        self.node(n, "Conv", inputs, kernel_shape=k, pads=[p] * 4, strides=[value("stride", 1)] * 2,
                  dilations=[value("dilation", 1)] * 2, group=value("groups", 1))

    def emit(self, n):
        op = n["op"]
        folded = self.bias_of(n)
        if folded:
            return self.conv(n, *folded)
        if op == "conv2d":
            following = [m for m in self.nodes.values() if n["id"] in m["args"]]
            if len(following) == 1 and self.bias_of(following[0]):
                return None
            return self.conv(n, n, None)
        args = [self.ref(a) for a in n["args"]]
        if op in DIRECT:
            return self.node(n, DIRECT[op], args)
        if op == "leaky_relu":
            return self.node(n, "LeakyRelu", args, alpha=number(n, "slope"))
        if op == "hard_sigmoid":
            return self.node(n, "HardSigmoid", args, alpha=1 / 6, beta=0.5)
        if op == "concat":
            return self.node(n, "Concat", args, axis=int(n["attrs"]["axis"]))
        if op in ("sum", "max"):
            keep = 1 if n["attrs"].get("keep") == "true" else 0
            return self.node(n, "ReduceSum" if op == "sum" else "ReduceMax",
                             args + [self.vector(np.array(n["attrs"]["axes"], np.int64))], keepdims=keep)
        if op == "softmax":
            return self.node(n, "Softmax", args, axis=int(n["attrs"]["axis"]))
        if op == "reshape":
            return self.node(n, "Reshape", args + [self.vector(np.array(n["shape"], np.int64))])
        if op == "resize":
            mode = {"true": "align_corners", "false": "half_pixel"}.get(n["attrs"].get("align_corners"), "asymmetric")
            kind = "linear" if n["attrs"]["mode"] == "bilinear" else "nearest"
            return self.node(n, "Resize", [args[0], "", "", self.vector(np.array(n["shape"], np.int64))], mode=kind,
                             coordinate_transformation_mode=mode)
        if op == "slice":
            one = lambda v: self.vector(np.array([int(v)], np.int64))
            return self.node(n, "Slice", args + [one(n["attrs"]["start"]), one(n["attrs"]["stop"]), one(n["attrs"]["axis"])])
        raise ValueError("no ONNX form for %s" % op)

    def model(self):
        for n in self.nodes.values():
            value = self.constant(n)
            if value is not None:
                self.constants[n["id"]] = value
            elif n["op"] == "input":
                self.inputs.append(helper.make_tensor_value_info(n["name"], TensorProto.FLOAT, n["shape"]))
                self.names[n["id"]] = n["name"]
            else:
                self.emit(n)
        outs = []
        for name, i in self.outputs.items():
            self.made.append(helper.make_node("Identity", [self.names[i]], ["out_" + name]))
            outs.append(helper.make_tensor_value_info("out_" + name, TensorProto.FLOAT, self.nodes[i]["shape"]))
        graph = helper.make_graph(self.made, "net", self.inputs, outs, self.initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        onnx.checker.check_model(model)
        return model
