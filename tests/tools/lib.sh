# lib.sh: checks for tests of the commands. Sourced by test_*.sh; `report NAME` ends each.
# SGC and SGRUN name the programs; each test works in a fresh directory of its own.
set -u
passed=0 failed=0 skipped=0
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

pass() { passed=$((passed + 1)); }
fail() {
  failed=$((failed + 1))
  echo "FAILED $*"
}

# expect CODE PATTERN COMMAND...: the exit status, and an extended pattern that stdout and stderr together must hold.
expect() {
  want=$1 pattern=$2
  shift 2
  "$@" >.out 2>.err </dev/null
  code=$?
  if [ "$code" != "$want" ]; then
    fail "$*: exit status $code, expected $want"
    head -5 .err
  elif [ -n "$pattern" ] && ! cat .out .err | grep -qE -- "$pattern"; then
    fail "$*: no '$pattern' in the output"
    cat .out .err | head -12
  else
    pass
  fi
}

# check WHAT COMMAND...: the command must succeed.
check() {
  what=$1
  shift
  if "$@" >/dev/null 2>&1; then pass; else fail "$what"; fi
}

# steps RUN: how many steps a run has logged; await RUN N: waits until it has logged N.
steps() { grep -c grad_norm "$1/log.jsonl" 2>/dev/null || true; }
await() {
  for _ in $(seq 600); do
    [ "$(steps "$1")" -ge "$2" ] 2>/dev/null && return 0
    sleep 0.05
  done
  return 1
}

report() {
  printf '%s: %d passed, %d failed' "$1" "$passed" "$failed"
  [ "$skipped" = 0 ] || printf ', %d skipped' "$skipped"
  printf '\n'
  [ "$failed" = 0 ]
}
