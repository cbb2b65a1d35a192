#!/bin/sh
# Usage errors, help, wrong paths, broken text: codes, streams and remedies.
. "$(dirname "$0")/lib.sh"
cp "$root/tests/tools/tiny.net" .

expect 2 'usage' "$SGC"
expect 0 'compiles and looks' "$SGC" --help
expect 0 '^sgc [0-9]' "$SGC" --version
expect 0 '^\.TH' "$SGRUN" --man
expect 0 'complete -o' "$SGRUN" --completion
expect 2 "did you mean 'compile'" "$SGC" complie tiny.net
expect 2 "did you mean '--depth'" "$SGC" graph tiny.net --deptth 2
expect 2 "needs a value" "$SGC" graph tiny.net --depth
expect 2 "expects" "$SGC" compile
expect 2 "whole number" "$SGRUN" bench tiny.net --runs=many
expect 2 "takes no value" "$SGRUN" bench tiny.net --json=yes
expect 2 "no target" "$SGC" compile tiny.net --target=gpu9
expect 2 "no target 'cpu:mmx'; there are cpu, .*cpu:neon" "$SGC" compile tiny.net --target=cpu:mmx
expect 2 "did you mean 'fuse'" "$SGC" compile tiny.net --disable=fusee
expect 2 "unknown setting 'lrr'" "$SGRUN" train tiny.net --set lrr=1
expect 2 "number from" "$SGRUN" train tiny.net --set lr=-1
for command in compile check summary graph fmt explain doc doctor tune; do expect 0 'usage: sgc' "$SGC" $command --help; done
for command in train eval predict bench data weights; do expect 0 'usage: sgrun' "$SGRUN" $command --help; done

expect 3 'missing.net' "$SGC" check missing.net
expect 4 'missing.safetensors' "$SGRUN" predict missing.safetensors photo.png
expect 0 'model tiny is fine' "$SGC" check tiny.net
sed 's/sigmoid/sigmoyd/' tiny.net >typo.net
expect 3 "typo.net:[0-9]+:[0-9]+: error" "$SGC" check typo.net
expect 3 "did you mean 'sigmoid'" "$SGC" check typo.net
expect 0 '^2 programs together' "$SGC" compile tiny.net tiny.net -t reference
"$SGC" compile tiny.net tiny.net -t reference | awk '/^memory/ { print $2 }' >out
check 'several programs need what each needs' awk '{ m[NR] = $1 } END { exit !(NR == 3 && m[3] >= 2 * m[1] - 0.01 && m[3] <= 2 * m[1] + 0.01) }' out
# A budget for memory: kept to, or refused with the least that will do.
step="$SGC compile $root/tests/compiler/deep.net --training -b 2 --dim H=32,W=48 -t reference"
for size in lots 5 5T -1G 1.5GB; do expect 2 'such as 1.5G' $step --mem=$size; done
expect 5 'least that it was found to do with is [0-9.]+ MB' $step --mem=1k
least=$(sed -n 's/.*do with is \([0-9.]*\) MB.*/\1/p' .err)
expect 0 'for want of memory [0-9]+ kernels run again' $step --mem="${least}M"
check 'the memory is what was allowed' awk -v most="$least" '/^memory/ { n = 1; if ($2 > most) exit 1 } END { if (!n) exit 1 }' .out
expect 0 '^memory' $step --mem=1G
check 'nothing runs again where there is room' sh -c '! grep -q again .out'
expect 5 'more than' $step --mem="${least}M" --disable=remat
expect 0 'relu.* again' $step --mem="${least}M" --emit=graph
expect 5 'least that it was found to do with' $step --mem=1k --emit=graph
expect 5 'least that it was found to do with' "$SGC" graph tiny.net --fused --mem=1k
printf 'net 1\nmodel one() {\n  input rgb: f32[N, 3, H, W]\n  output depth = relu(rgb)\n}\n' >one.net
expect 5 'least that it was found to do with' "$SGC" compile one.net -t reference --mem=1k # nothing to compute again
expect 2 'for one model' "$SGC" compile tiny.net tiny.net --emit=graph
expect 2 'all or torchinfo' "$SGC" summary tiny.net --count=some
expect 3 'H % 2' "$SGC" compile tiny.net --dim H=63,W=64
sed 's/optimizer adamw(lr/optimizer adamw(rate/' tiny.net >setting.net
expect 3 'setting.net:[0-9]+:[0-9]+: error: unknown setting' "$SGRUN" train setting.net

# Results on stdout, talk on stderr.
"$SGC" summary tiny.net --json >out 2>err
check 'summary --json is one JSON object' python3 -c 'import json; d = json.load(open("out")); assert d["parameters"] > 0 and d["multiply_adds"] > 0'
"$SGRUN" bench tiny.net --runs 2 --json >out 2>err
check 'bench --json is one JSON object' python3 -c 'import json; assert json.load(open("out"))["median_ms"] > 0'
expect 0 'us  *GFLOP/s.*% of roof.*part' "$SGRUN" bench tiny.net --runs 2 --per-kernel
expect 0 'total  *[0-9]+ kernels' "$SGRUN" bench tiny.net --runs 2 --per-kernel
"$SGRUN" bench tiny.net --runs 2 --per-kernel --json >out 2>err
cat >kernels.py <<'END'
import json
d = json.load(open("out"))
rows = d["per_kernel"]
assert len(rows) == d["kernels"] > 0 and d["machine"]["gflops"] > 0 and len(d["machine"]["levels"]) == 3
assert [r["ms"] for r in rows] == sorted((r["ms"] for r in rows), reverse=True)
for r in rows + [d["total"]]:
    assert abs(r["roofline"] - r["bound_ms"] / r["ms"]) < 1e-2 + 1e-2 * r["roofline"] and r["bound"] in ("compute", "memory")
for sum_of in ("flops", "bytes"):
    assert d["total"][sum_of] == sum(r[sum_of] for r in rows) >= 2 * d["multiply_adds"] * (sum_of == "flops")
assert {"down", "head"} <= {r["part"] for r in rows}
END
check 'bench --per-kernel --json says where the time goes' python3 kernels.py
"$SGRUN" bench tiny.net --runs 1 --per-kernel --json --target=reference >out 2>err
printf 'net 1\nmodel empty() {\n  input rgb: f32[N, 3, H, W]\n  output depth = fill(shape=[N, 1, H, W], value=1)\n}\n' >empty.net
"$SGRUN" bench empty.net --runs 1 --per-kernel --json --target=reference --dim H=8,W=8 >empty.json 2>err
check 'a model without kernels is JSON too' python3 -c 'import json; d = json.load(open("empty.json")); assert d["per_kernel"] == []'
check 'without machine code there is no roofline' python3 -c 'import json; d = json.load(open("out")); assert "machine" not in d and "bound" not in d["total"] and d["total"]["ms"] > 0'

"$SGC" explain tiny.net --json >out 2>err
cat >plan.py <<'END'
import json
d = json.load(open("out"))
rows = d["kernels"]
assert d["launches"] == len(rows) > 0 and 0 < d["temporaries"] and d["slab_bytes"] > 0 and d["persistent_bytes"] > 0
assert d["bytes"] == sum(r["bytes"] for r in rows) and d["flops"] == sum(r["flops"] for r in rows) >= 2 * d["multiply_adds"] > 0
END
check 'explain --json counts what the plan takes' python3 plan.py
"$SGRUN" bench "$root/tests/compiler/deep.net" --training -b 2 --dim H=32,W=48 -t reference --mem="${least}M" --runs 1 --json >out 2>err
check 'bench --json says what runs again' python3 -c 'import json; assert json.load(open("out"))["kernels_again"] > 0'

# A full disk under stdout, and a place that is none.
if [ -w /dev/full ]; then
  "$SGC" summary tiny.net >/dev/full 2>err
  if [ $? = 4 ]; then pass; else fail 'a full disk under stdout must end with 4'; fi
fi
expect 4 'cannot' "$SGC" graph tiny.net -o /dev/null/x.dot
expect 4 'cannot' "$SGRUN" train tiny.net -o /dev/null/run

# fmt is idempotent and says what would change.
printf 'net 1\nmodule   f( x ){return x}\n' >ugly.net
expect 0 'study rooms is fine' "$SGC" check "$root/models/study_rooms.net"
expect 1 'ugly.net' "$SGC" fmt --check ugly.net
expect 0 '' "$SGC" fmt ugly.net
expect 0 '' "$SGC" fmt --check ugly.net

# Kernels for another machine: their text can be had anywhere, but they do not run here.
if [ "$(uname -m)" = aarch64 ]; then other=avx2 machine=x86_64; else other=neon machine=aarch64; fi
expect 0 'vectors of 4 floats and 32 registers' "$SGC" compile tiny.net --target=cpu:neon --emit=kernels
expect 5 "made for cpu-$other-[48], which this .* machine does not execute: compile for --target=cpu" \
  "$SGRUN" bench tiny.net --target=cpu:$other

# Machine code of the host and of another machine, whose compiler must be there or be named.
expect 0 '^relayout[^:]*:' "$SGC" compile tiny.net --emit=assembly
expect 0 '' "$SGC" compile tiny.net --emit=object -o tiny.so
check 'the object is one' sh -c 'head -c 4 tiny.so | grep -q ELF'
expect 5 "no C compiler for $machine found: set CC" env -u CC PATH=/nowhere "$SGC" compile tiny.net --target=cpu:$other
expect 5 "the C compiler 'false' failed" env CC=false TMPDIR="$work" "$SGC" compile tiny.net --target=cpu:$other --emit=object -o tiny.so
expect 0 '^KERNEL.relayout' env -u CC PATH=/nowhere "$SGC" compile tiny.net --target=cpu:$other --emit=kernels
expect 2 'assembly is for CPUs' "$SGC" compile tiny.net --target=reference --emit=assembly
if command -v $machine-linux-gnu-gcc >/dev/null; then
  expect 0 "tiny for cpu-$other-[48]: [0-9]* kernels" env -u CC "$SGC" compile tiny.net --target=cpu:$other
else
  skipped=$((skipped + 1))
fi

# No C compiler: the reference evaluator takes over with one notice.
mkdir empty
expect 0 'reference evaluator takes over' env CC= PATH="$work/empty" "$SGRUN" bench tiny.net --runs 1 --dim H=32,W=32
report tools/cli
