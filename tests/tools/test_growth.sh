#!/bin/sh
# make bench-growth: what it measures and draws of a small network, and which points it names of made-up rows.
. "$(dirname "$0")/lib.sh"
growth="python3 $root/tests/bench/growth.py $(dirname "$SGRUN")"
cp "$root/tests/tools/tiny.net" .
expect 0 '^[0-9]+ points of 5 are off' $growth --only tiny.net --sizes 32x32,64x64,96x128 --batches 1,2,4 --picture 64x64 \
  --threads 1 --runs 1 --out .
cat >drawn.py <<'END'
import json, xml.etree.ElementTree as tree
rows = json.load(open("growth.json"))["rows"]
assert [(r["size"], r["batch"]) for r in rows] == [("32x32", 1), ("64x64", 1), ("96x128", 1), ("64x64", 2), ("64x64", 4)]
assert all(r["ms"] > 0 and r["memory_bytes"] > 0 and r["bound_ms"] > 0 and "down" in r["parts"] for r in rows)
assert len(tree.parse("growth.svg").findall(".//{http://www.w3.org/2000/svg}svg")) == 5
END
check 'rows and charts' python3 drawn.py

# rows.py EXPONENT CLIFF ROOF: 5 sizes whose times grow as a power of their pixels, one of them slower by CLIFF in one
# part, and its roofline lower by ROOF.
cat >rows.py <<'END'
import json, sys
exponent, cliff, roof = map(float, sys.argv[1:])
rows = []
for i, side in enumerate((160, 320, 480, 640, 960)):
    pixels = side * side / 1e6
    ms = 100 * pixels ** exponent
    more = ms * (cliff - 1) if i == 3 else 0
    rows.append({"network": "made", "size": "%dx%d" % (side, side), "batch": 1, "threads": 2, "megapixels": pixels, "ms": ms + more,
                 "memory_bytes": 1, "bound_ms": ms / 2 * (roof if i == 3 else 1),
                 "parts": {"head": [0.4 * ms, 0.2 * ms], "body": [0.6 * ms + more, 0.3 * ms * (roof if i == 3 else 1)]}})
json.dump({"rows": rows}, open("rows.json", "w"))
END
python3 rows.py 1 1.2 1
expect 0 '^0 points of 5' $growth --from rows.json --out .
python3 rows.py 1.4 1 1
expect 0 '^0 points of 5' $growth --from rows.json --out .
python3 rows.py 1.1 1.5 1.4
expect 0 '^1 points of 5' $growth --from rows.json --out .
expect 0 '^OFF made, 640x640, 2 threads: 1.50x the line over sizes; its roofline is 1.40x' $growth --from rows.json --out .
expect 0 '^ *\+[0-9.]+ ms body, at 38 % of its roofline where [0-9x]+ has 50 %' $growth --from rows.json --out .
report tools/growth
