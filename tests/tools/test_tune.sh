#!/bin/sh
# sgc tune and --tuned: the file of results, what is made of a broken one, and that results are used. No time is judged.
. "$(dirname "$0")/lib.sh"
export SGC_CACHE=$work/cache
cp "$root/tests/tools/tiny.net" .
file=$SGC_CACHE/tuned.txt

# Nothing there: said in one line; the same kernels.
expect 0 'nothing that was tuned fits tiny' "$SGC" compile tiny.net --tuned
expect 0 'nothing that was tuned fits tiny' "$SGRUN" bench tiny.net --tuned -n 2
expect 2 'exact' "$SGC" compile tiny.net --tuned --exact
expect 0 '' "$SGC" compile tiny.net --tuned --target=reference --quiet --emit=graph
"$SGC" compile tiny.net --emit=kernels -o plain.c
"$SGC" compile tiny.net --emit=kernels -o asked.c --tuned --quiet
check 'asking for results changes the kernels' cmp plain.c asked.c

# The search, and its file, which is written whatever was found.
expect 0 'kernels and layers are faster' "$SGC" tune tiny.net --time 5s --threads 2
expect 0 'kernels and layers are faster' "$SGC" tune tiny.net --time 5s --training --no-layers -b 2
expect 2 'time' "$SGC" tune tiny.net --time never
expect 3 'missing.net' "$SGC" tune missing.net
expect 0 'schedules for cpu' "$SGC" doctor

# A result for the kernel with most choices.
context=$("$SGC" doctor | sed -n "s/^tuned .* for \([^ ]*\) .*/\1/p")
kernel=$(sed -n 's/^KERNEL(\(conv2d_[a-z0-9_]*3x3_[a-z0-9_]*\)).*/\1/p' plain.c | head -1)
[ -n "$context" ] && [ -n "$kernel" ] && pass || fail "no context '$context' or kernel '$kernel'"
results() {
  echo 'sgc tuned schedules 1'
  echo "$context $kernel - 0.900 rows=3"
}
results >"$file"
"$SGC" compile tiny.net --emit=kernels -o tuned.c --tuned --quiet
if cmp -s plain.c tuned.c; then fail "a result changes nothing"; else pass; fi
expect 0 'tiny for' "$SGC" compile tiny.net --tuned
if grep -q 'nothing that was tuned' .err; then fail "a result that fits is said not to"; else pass; fi
"$SGRUN" train tiny.net --set epochs=1 --set rooms=8 -o run >/dev/null 2>&1
"$SGRUN" eval run/weights.safetensors --json >plain.json 2>/dev/null
"$SGRUN" eval run/weights.safetensors --json --tuned >tuned.json 2>.err
check 'the kernels with results have others' \
  python3 -c "
import json
a, b = json.load(open('plain.json')), json.load(open('tuned.json'))
assert abs(a['rmse'] - b['rmse']) <= 1e-5 * a['rmse'], (a, b)"

# Another number of threads, broken lines, another version: said, and not used.
expect 0 'another machine, compiler, number of threads' "$SGRUN" bench tiny.net --tuned --threads 1 -n 2
results >"$file"
printf 'half a line\n%s %s - 0.9 rows=' "$context" "$kernel" >>"$file"
expect 0 '2 lines of .* are broken' "$SGC" compile tiny.net --tuned
results | sed 1s/1/99/ >"$file"
expect 0 'no tuned schedules of this version' "$SGC" compile tiny.net --tuned
head -c 3000 "$SGC" >"$file"
expect 0 'no tuned schedules of this version' "$SGC" compile tiny.net --tuned

# Results of other machines stay where they are, also those that another search writes while this one waits for it.
{
  flock 9
  "$SGC" tune tiny.net --time 2s --no-layers --quiet >.out 9<&- &
  pid=$!
  while kill -0 $pid 2>/dev/null && ! grep -qE -- "-> FLOCK .* $pid " /proc/locks; do sleep 0.05; done
  check 'a search does not wait for another' kill -0 $pid
  { results; echo 'cpu-other/8/0123456789abcdef conv_1 conv_2 0.900 rows=3'; } >"$file"
  flock -u 9
} 9<"$SGC_CACHE"
check 'a search that waited for another' wait $pid
check 'results of another machine are lost' grep -q '^cpu-other/8' "$file"

# Ctrl-C keeps what was found so far, and what an earlier search found that this one has not come to.
"$SGC" compile tiny.net --dim H=960,W=1280 --arg width=64 --emit=kernels -o large.c
{
  echo 'sgc tuned schedules 1'
  sed -n "s/^KERNEL(\([a-z0-9_]*\)).*/$(echo "$context" | sed 's:/:\\/:g') \1 - 0.900 rows=3/p" large.c
} >"$file"
n_earlier=$(grep -c "^$context " "$file")
"$SGC" tune tiny.net --no-layers --dim H=960,W=1280 --arg width=64 >.out 2>.err &
pid=$!
for _ in $(seq 2400); do
  grep -q 'round 1' .err && break
  sleep 0.05
done
kill -INT $pid
wait $pid
code=$?
[ "$code" = 75 ] && grep -q 'round 1' .err && pass || fail "interrupted: exit status $code"
n_kept=$(grep -c "^$context " "$file")
[ "$n_earlier" -gt 3 ] && [ "$n_kept" = "$n_earlier" ] && pass || fail "interrupted: $n_kept of $n_earlier results stay"

# The terminal sends it to the C compiler as well.
cat >struck.sh <<'END'
#!/bin/sh
case "$*" in *" -o "*) ;; *) exec cc "$@" ;; esac
mkdir struck 2>/dev/null && kill -INT $PPID && : >struck/sent
until [ -e struck/sent ]; do sleep 0.01; done
kill -KILL $$
END
chmod +x struck.sh
expect 75 'what was found so far is kept' env CC=./struck.sh SGC_CACHE="$work/other" "$SGC" tune tiny.net --no-layers
if grep -q 'ended by signal' .err; then fail 'an interrupted compiler is an error'; else pass; fi
report tune
