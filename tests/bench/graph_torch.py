"""Our graph text to a PyTorch module: straight-line code over torch's own functions.

Instances of modules that PyTorch has a function for (batch norm, layer norm, convolution and linear with bias, dropout)
become that function, as whoever writes the network in PyTorch would have it.
"""
import re

import torch

from graph_text import number, parse

MODULE = re.compile(r'^module (\d+) (\w+) "([^"]*)" parent (\d+)')
NATIVE = ("batch_norm", "layer_norm", "conv", "linear", "dropout")
BINARY = {"add": "%s + %s", "sub": "%s - %s", "mul": "%s * %s", "div": "%s / %s", "minimum": "torch.minimum(%s, %s)",
          "maximum": "torch.maximum(%s, %s)", "less": "(%s < %s).to(torch.float32)", "less_equal": "(%s <= %s).to(torch.float32)",
          "equal": "(%s == %s).to(torch.float32)"}
UNARY = {"neg": "-%s", "abs": "torch.abs(%s)", "exp": "torch.exp(%s)", "log": "torch.log(%s)", "sqrt": "torch.sqrt(%s)",
         "rsqrt": "torch.rsqrt(%s)", "sin": "torch.sin(%s)", "cos": "torch.cos(%s)", "tanh": "torch.tanh(%s)",
         "sigmoid": "torch.sigmoid(%s)", "relu": "F.relu(%s)", "hard_sigmoid": "F.hardsigmoid(%s)"}


def nearest(x, points, mask):
    """Index of the nearest point whose mask is not 0, -1 where there is none."""
    far = torch.where(mask != 0, points, torch.full_like(points, float("inf")))
    order = far.sort(dim=1)
    right = torch.searchsorted(order.values, x.contiguous()).clamp(max=points.shape[1] - 1)
    left = (right - 1).clamp(min=0)
    a, b = order.values.gather(1, left), order.values.gather(1, right)
    index = order.indices.gather(1, torch.where((x - a).abs() <= (x - b).abs(), left, right)).to(torch.float32)
    return torch.where(mask.amax(1, keepdim=True) != 0, index, torch.full_like(index, -1))


def gather(x, index):
    where = index.to(torch.int64)
    return torch.where(where >= 0, x.gather(1, where.clamp(min=0)), torch.zeros((), device=x.device))


class Network(torch.nn.Module):
    """forward(inputs by name) gives a dict of the wanted outputs."""

    def __init__(self, text, weights, wanted, training):
        super().__init__()
        nodes, outputs = parse(text)
        self.nodes = {n["id"]: n for n in nodes}
        self.is_step = training
        self.of_node, self.kind, self.parent = {}, {}, {}
        for line in text.splitlines():
            m = MODULE.match(line)
            if m:
                self.kind[int(m.group(1))], self.parent[int(m.group(1))] = m.group(2), int(m.group(4))
            m = re.match(r"^%(\d+) = .* module=(\d+)", line)
            if m:
                self.of_node[int(m.group(1))] = int(m.group(2))
        self.needed = self.find_needed([outputs[w] for w in wanted])
        self.users = {}
        for i in self.needed:
            for a in self.nodes[i]["args"]:
                self.users.setdefault(a, set()).add(i)
        self.lines, self.weights, self.operations = [], weights, 0
        self.inputs = {n["name"]: n["shape"] for n in nodes if n["op"] == "input" and n["id"] in self.needed}
        self.write(wanted, outputs)
        code = "def forward(self, inputs):\n" + "".join("    %s\n" % line for line in self.lines)
        scope = {"torch": torch, "F": torch.nn.functional, "nearest": nearest, "gather": gather}
        exec(compile(code, "<network>", "exec"), scope)
        self.function = scope["forward"]

    def forward(self, inputs):
        return self.function(self, inputs)

    def find_needed(self, roots):
        seen, stack = set(), list(roots)
        while stack:
            i = stack.pop()
            if i not in seen:
                seen.add(i)
                stack += self.nodes[i]["args"]
        return seen

    def native(self, i):
        """The outermost native instance that the node belongs to, or None."""
        module, found = self.of_node.get(i, 0), None
        while module:
            if self.kind[module] in NATIVE:
                found = module
            module = self.parent[module]
        return found

    def leaf(self, i):
        n = self.nodes[i]
        name = "p_" + re.sub(r"\W", "_", n["name"])
        if not hasattr(self, name):
            value = torch.from_numpy(self.weights[n["name"]].copy())
            if n["op"] == "param":
                setattr(self, name, torch.nn.Parameter(value))
            else:
                self.register_buffer(name, value)
        return "self." + name

    def value(self, i):
        n = self.nodes[i]
        if n["op"] in ("param", "state"):
            return self.leaf(i)
        if n["op"] == "fill" and not n["shape"]:
            return repr(number(n, "value"))
        if n["op"] == "input":
            return "inputs[%r]" % n["name"]
        return "v%d" % i

    def put(self, i, text):
        self.operations += 1
        self.lines.append("v%d = %s" % (i, text))

    def instance(self, module, members, result):
        """Code of a native instance, or False where it has another form than expected."""
        kind = self.kind[module]
        leaves = {self.nodes[i]["name"].rsplit(".", 1)[1]: self.leaf(i) for i in members if self.nodes[i]["op"] in ("param", "state")}
        outside = [a for i in sorted(members) for a in self.nodes[i]["args"] if a not in members]
        if not outside or len(set(outside)) != 1 and kind != "dropout":
            return False
        x, of = self.value(outside[0]), [self.nodes[i] for i in sorted(members)]
        small = [number(n, "value") for n in of if n["op"] == "fill" and 0 < number(n, "value") < 1e-2]
        if kind == "batch_norm":
            self.put(result, "F.batch_norm(%s, %s, %s, %s, %s, training=%r, momentum=0.1, eps=%r)" % (
                x, self.running(module, "running_mean"), self.running(module, "running_var"), leaves["weight"], leaves["bias"],
                self.is_step, small[0]))
        elif kind == "layer_norm":
            self.put(result, "F.layer_norm(%s, (%d,), %s, %s, %r)" % (x, self.nodes[result]["shape"][-1], leaves["weight"], leaves["bias"],
                                                                      small[0]))
        elif kind == "conv":
            conv = [n for n in of if n["op"] == "conv2d"]
            if len(conv) != 1 or len(leaves) > 2:
                return False
            self.put(result, self.conv(conv[0], x, leaves["weight"], leaves.get("bias")))
        elif kind == "linear":
            if any(n["op"] not in ("param", "matmul", "add", "reshape") for n in of):
                return False
            self.put(result, "F.linear(%s, %s, %s)" % (x, leaves["weight"], leaves.get("bias")))
        else:
            data = [a for a in outside if self.nodes[a]["op"] != "input"]
            rate = [number(self.nodes[n["args"][1]], "value") for n in of if n["op"] == "less"]
            if len(set(data)) != 1 or len(rate) != 1:
                return False
            self.put(result, "F.dropout(%s, %r)" % (self.value(data[0]), rate[0]))
        return True

    def running(self, module, name):
        for i, n in self.nodes.items():
            if n["op"] == "state" and self.of_node.get(i) == module and n["name"].endswith("." + name):
                return self.leaf(i)
        raise ValueError("no " + name)

    @staticmethod
    def conv(n, x, weight, bias):
        a = lambda key, fallback: int(n["attrs"].get(key, fallback))
        return "F.conv2d(%s, %s, %s, stride=%d, padding=%d, dilation=%d, groups=%d)" % (
            x, weight, bias, a("stride", 1), a("padding", 0), a("dilation", 1), a("groups", 1))

    def plain(self, n):
        """Code of one node."""
        op, attrs, args = n["op"], n["attrs"], [self.value(a) for a in n["args"]]
        flag = lambda key: attrs.get(key) in ("true", "1")
        if op in BINARY:
            if op in ("minimum", "maximum"):  # want tensors
                args = [a if a.startswith(("v", "s", "i")) else "torch.full((), %s, device=self.device)" % a for a in args]
            return BINARY[op] % tuple(args)
        if op in UNARY:
            return UNARY[op] % args[0]
        if op == "select":
            return "torch.where(%s != 0, %s, %s)" % tuple(args)
        if op == "leaky_relu":
            return "F.leaky_relu(%s, %r)" % (args[0], number(n, "slope"))
        if op == "elu":
            return "F.elu(%s, %r)" % (args[0], number(n, "alpha", 1))
        if op == "clamp":
            return "torch.clamp(%s, %r, %r)" % (args[0], number(n, "lo"), number(n, "hi"))
        if op == "conv2d":
            return self.conv(n, args[0], args[1], None)
        if op == "matmul":
            turned = [a + ".transpose(-1, -2)" if flag("transpose_" + k) else a for a, k in zip(args, "ab")]
            return "torch.matmul(%s, %s)" % tuple(turned)
        if op in ("sum", "max"):
            return "torch.%s(%s, dim=%r, keepdim=%r)" % ("sum" if op == "sum" else "amax", args[0], attrs["axes"], flag("keep"))
        if op == "variance":
            return "torch.var(%s, dim=%r, correction=0, keepdim=%r)" % (args[0], attrs["axes"], flag("keep"))
        if op == "cumsum":
            turn = ".flip(%s)" % attrs["axis"] if flag("reverse") else ""
            return "torch.cumsum(%s%s, %s)%s" % (args[0], turn, attrs["axis"], turn)
        if op == "softmax":
            return "torch.softmax(%s, %s)" % (args[0], attrs["axis"])
        if op in ("reshape", "broadcast"):
            return "%s.%s(%r)" % (args[0], "reshape" if op == "reshape" else "expand", n["shape"])
        if op == "transpose":
            return "%s.permute(%r)" % (args[0], attrs["perm"])
        if op == "concat":
            return "torch.cat([%s], %s)" % (", ".join(args), attrs["axis"])
        if op == "slice":
            index = [":"] * int(attrs["axis"]) + ["%s:%s:%s" % (attrs["start"], attrs["stop"], attrs.get("step", 1))]
            return "%s[%s]" % (args[0], ", ".join(index))
        if op == "pad":
            sizes = [v for pair in list(zip(attrs["before"], attrs["after"]))[::-1] for v in pair]
            return "F.pad(%s, %r, value=%r)" % (args[0], sizes, number(n, "value"))
        if op == "flip":
            return "%s.flip(%s)" % (args[0], attrs["axis"])
        if op == "resize":
            corners = "" if attrs["mode"] == "nearest" else ", align_corners=%r" % flag("align_corners")
            return "F.interpolate(%s, size=%r, mode=%r%s)" % (args[0], attrs["size"], attrs["mode"], corners)
        if op == "fill":
            return "torch.full(%r, %r, device=self.device)" % (n["shape"], number(n, "value"))
        if op == "iota":
            view = [1] * len(n["shape"])
            view[int(attrs["axis"])] = -1
            return "torch.arange(%d, dtype=torch.float32, device=self.device).reshape(%r).expand(%r)" % (
                n["shape"][int(attrs["axis"])], view, n["shape"])
        if op == "random":
            return "torch.rand(%r, device=self.device)" % n["shape"]
        if op in ("nearest", "gather"):
            return "%s(%s)" % (op, ", ".join(args))
        raise ValueError("no PyTorch form for %s" % op)

    @property
    def device(self):
        return next(self.parameters()).device

    def write(self, wanted, outputs):
        groups, done = {}, set()
        for i in self.needed:
            module = self.native(i)
            if module:
                groups.setdefault(module, set()).add(i)
        results = {}  # the one value that leaves an instance -> the instance
        for module, members in groups.items():
            leaving = [i for i in members if i in [outputs[w] for w in wanted] or any(u not in members for u in self.users.get(i, ()))]
            if len(leaving) == 1 and self.nodes[leaving[0]]["op"] not in ("param", "state"):
                results[leaving[0]] = module
            else:
                groups[module] = set()
        for i in sorted(self.needed):
            module = results.get(i)
            if module and self.instance(module, groups[module], i):
                done |= groups[module]
        self.lines, self.operations = [], 0
        for i in sorted(self.needed):
            n = self.nodes[i]
            if i in done and i not in results:
                continue
            if i in results and i in done:
                self.instance(results[i], groups[results[i]], i)
            elif n["op"] not in ("param", "state", "input") and not (n["op"] == "fill" and not n["shape"]):
                self.put(i, self.plain(n))
        self.lines.append("return {%s}" % ", ".join("%r: %s" % (w, self.value(outputs[w])) for w in wanted))
