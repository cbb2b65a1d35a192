"""Our graph text, read: what the networks of peers are made of."""
import re

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
