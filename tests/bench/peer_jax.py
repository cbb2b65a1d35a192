"""One training step or network in JAX, as a process that serves timed runs (serve.py).

    peer_jax.py GRAPH.txt WEIGHTS.npz INPUTS.npz [--training] [--threads N]

The graph is run node by node while JAX traces it; what it makes of that is one jitted function.
"""
import argparse
import json
import os

import numpy as np

from graph_text import number, parse
from serve import serve


def nearest(jnp, x, points, mask):
    """Index of the nearest point whose mask is not 0, -1 where there is none."""
    import jax
    def one(x, points, mask):
        order = jnp.argsort(jnp.where(mask != 0, points, jnp.inf))
        values = jnp.where(mask != 0, points, jnp.inf)[order]
        right = jnp.clip(jnp.searchsorted(values, x), 0, len(points) - 1)
        left = jnp.maximum(right - 1, 0)
        index = order[jnp.where(jnp.abs(x - values[left]) <= jnp.abs(x - values[right]), left, right)]
        return jnp.where(mask.max() != 0, index, -1).astype(jnp.float32)
    return jax.vmap(one)(x, points, mask)


def resize(jnp, x, n):
    """Bilinear or nearest, as two products with matrices of weights where it is bilinear."""
    for axis, (old, new) in enumerate(zip(x.shape, n["shape"])):
        if old == new:
            continue
        at, corners = np.arange(new), n["attrs"].get("align_corners") in ("true", "1")
        if n["attrs"]["mode"] == "nearest":
            x = jnp.take(x, (at * old) // new, axis)
            continue
        place = at * (old - 1) / max(new - 1, 1) if corners else np.maximum((at + 0.5) * old / new - 0.5, 0)
        low = np.minimum(place.astype(int), old - 1)
        high, share = np.minimum(low + 1, old - 1), (place - low).astype(np.float32)
        share = share.reshape([-1 if k == axis else 1 for k in range(x.ndim)])
        x = jnp.take(x, low, axis) * (1 - share) + jnp.take(x, high, axis) * share
    return x


class Network:
    def __init__(self, text, wanted):
        nodes, outputs = parse(text)
        self.nodes, self.wanted = {n["id"]: n for n in nodes}, {w: outputs[w] for w in wanted}
        seen, stack = set(), list(self.wanted.values())
        while stack:
            i = stack.pop()
            if i not in seen:
                seen.add(i)
                stack += self.nodes[i]["args"]
        self.needed = sorted(seen)
        self.leaves = {op: [self.nodes[i]["name"] for i in self.needed if self.nodes[i]["op"] == op] for op in ("param", "state", "input")}

    def __call__(self, params, rest):
        values = {}
        for i in self.needed:
            n = self.nodes[i]
            if n["op"] in ("param", "state", "input"):
                values[i] = params[n["name"]] if n["op"] == "param" else rest[n["name"]]
            else:
                values[i] = self.node(n, [values[a] for a in n["args"]])
        return {w: values[i] for w, i in self.wanted.items()}

    @staticmethod
    def node(n, x):
        import jax
        import jax.numpy as jnp
        op, attrs, shape = n["op"], n["attrs"], n["shape"]
        flag = lambda key: attrs.get(key) in ("true", "1")
        axes = tuple(attrs["axes"]) if "axes" in attrs else None
        axis = int(attrs["axis"]) if "axis" in attrs else None
        direct = {"add": jnp.add, "sub": jnp.subtract, "mul": jnp.multiply, "div": jnp.divide, "minimum": jnp.minimum,
                  "maximum": jnp.maximum, "neg": jnp.negative, "abs": jnp.abs, "exp": jnp.exp, "log": jnp.log, "sqrt": jnp.sqrt,
                  "rsqrt": jax.lax.rsqrt, "sin": jnp.sin, "cos": jnp.cos, "tanh": jnp.tanh, "sigmoid": jax.nn.sigmoid, "relu": jax.nn.relu}
        compare = {"less": jnp.less, "less_equal": jnp.less_equal, "equal": jnp.equal}
        if op in direct:
            return direct[op](*x)
        if op in compare:
            return compare[op](*x).astype(jnp.float32)
        if op == "hard_sigmoid":
            return jnp.clip(x[0] / 6 + 0.5, 0, 1)
        if op == "leaky_relu":
            return jnp.where(x[0] >= 0, x[0], x[0] * number(n, "slope"))
        if op == "elu":
            return jax.nn.elu(x[0], number(n, "alpha", 1))
        if op == "clamp":
            return jnp.clip(x[0], number(n, "lo"), number(n, "hi"))
        if op == "select":
            return jnp.where(x[0] != 0, x[1], x[2])
        if op == "conv2d":
            a = lambda key, fallback: int(attrs.get(key, fallback))
            return jax.lax.conv_general_dilated(x[0], x[1], [a("stride", 1)] * 2, [(a("padding", 0),) * 2] * 2, rhs_dilation=[a("dilation", 1)] * 2,
                                                feature_group_count=a("groups", 1), dimension_numbers=("NCHW", "OIHW", "NCHW"))
        if op == "matmul":
            turned = [jnp.swapaxes(v, -1, -2) if flag("transpose_" + k) else v for v, k in zip(x, "ab")]
            return jnp.matmul(*turned)
        if op in ("sum", "max", "variance"):
            return {"sum": jnp.sum, "max": jnp.max, "variance": jnp.var}[op](x[0], axis=axes, keepdims=flag("keep"))
        if op == "cumsum":
            turn = lambda v: jnp.flip(v, axis) if flag("reverse") else v
            return turn(jnp.cumsum(turn(x[0]), axis))
        if op == "softmax":
            return jax.nn.softmax(x[0], axis)
        if op == "reshape":
            return x[0].reshape(shape)
        if op == "broadcast":
            return jnp.broadcast_to(x[0], shape)
        if op == "transpose":
            return x[0].transpose(attrs["perm"])
        if op == "concat":
            return jnp.concatenate(x, axis)
        if op == "slice":
            return x[0][(slice(None),) * axis + (slice(int(attrs["start"]), int(attrs["stop"]), int(attrs.get("step", 1))),)]
        if op == "pad":
            return jnp.pad(x[0], list(zip(attrs["before"], attrs["after"])), constant_values=number(n, "value"))
        if op == "flip":
            return jnp.flip(x[0], axis)
        if op == "resize":
            return resize(jnp, x[0], n)
        if op == "fill":
            return jnp.full(shape, number(n, "value"), jnp.float32)
        if op == "iota":
            return jnp.broadcast_to(jnp.arange(shape[axis], dtype=jnp.float32).reshape([-1 if k == axis else 1 for k in range(len(shape))]), shape)
        if op == "random":
            return jax.random.uniform(jax.random.key(n["id"]), shape)
        if op == "nearest":
            return nearest(jnp, *x)
        if op == "gather":
            where = x[1].astype(jnp.int32)
            return jnp.where(where >= 0, jnp.take_along_axis(x[0], jnp.maximum(where, 0), 1), 0)
        raise ValueError("no JAX form for %s" % op)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs=3)
    parser.add_argument("--training", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:args.threads])  # XLA takes as many threads as it may use cores
    import jax
    import jax.numpy as jnp
    text = open(args.files[0]).read()
    network = Network(text, ["loss"] if args.training else json.loads(text.splitlines()[0][1:]))
    weights = {k: jnp.asarray(v) for k, v in np.load(args.files[1]).items()}
    params = {k: weights[k] for k in network.leaves["param"]}
    rest = {k: weights[k] for k in network.leaves["state"]}
    rest.update({k: jnp.asarray(v) for k, v in np.load(args.files[2]).items() if k in network.leaves["input"]})

    def adamw(params, m, v, t, rest):
        loss, grads = jax.value_and_grad(lambda p: network(p, rest)["loss"].reshape(()))(params)
        norm = jnp.sqrt(sum(jnp.sum(g * g) for g in grads.values()))
        each = jax.tree_util.tree_map
        grads = each(lambda g: g * jnp.minimum(1, 0.1 / (norm + 1e-6)), grads)
        m = each(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
        v = each(lambda v, g: 0.999 * v + 0.001 * g * g, v, grads)
        update = lambda p, m, v: p * (1 - 1e-9) - 1e-5 * (m / (1 - 0.9**t)) / (jnp.sqrt(v / (1 - 0.999**t)) + 1e-8)
        return each(update, params, m, v), m, v, t + 1, {"loss": loss, "grad_norm": norm}

    if args.training:
        zeros = lambda: {k: jnp.zeros_like(p) for k, p in params.items()}
        held = [params, zeros(), zeros(), jnp.float32(1)]
        run = jax.jit(adamw, donate_argnums=(0, 1, 2))
    else:
        run = jax.jit(network)

    def step():
        if not args.training:
            return jax.block_until_ready(run(params, rest))
        *held[:], result = run(*held, rest)
        jax.block_until_ready(held)
        return result

    serve(step, lambda result: {k: np.asarray(v) for k, v in result.items()}, "jax " + jax.__version__)


if __name__ == "__main__":
    main()
