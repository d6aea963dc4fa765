#!/usr/bin/env bash
# Tests shards on separate machines, as far as the network can tell: each shard has its own network
# namespace, and a bridge joins them.

set -euo pipefail

usage() {
  cat <<'END'
usage: scripts/rendezvous-namespaces.sh BINARY

Makes a bridge and three network namespaces with veth pairs, and a server in a
fourth. Checks that shards that meet by name, off the loopback, give the result
of a single process, that a key is required, and that a broken link ends all
shards within 10 s. Needs root and iproute2. Everything is removed at the end.
END
}

case "${1-}" in
  -h | --help | '')
    usage
    exit "$([ -n "${1-}" ] && echo 0 || echo 2)"
    ;;
esac
binary=$(realpath "$1")
lab=$(mktemp -d /tmp/blast-net.XXXXXX)
id=$$
hub=blast-$id-hub
# From the block for benchmarks (RFC 2544). It is not routed.
net=198.18.77
pids=()
cleanup() {
  for pid in "${pids[@]}"; do
    kill "$pid" 2> /dev/null || true
  done
  for n in 0 1 2 3; do
    # These may be children of a process that was killed.
    ip netns pids "blast-$id-$n" 2> /dev/null | xargs -r kill 2> /dev/null || true
  done
  wait 2> /dev/null || true
  for n in 0 1 2 3; do
    ip netns del "blast-$id-$n" 2> /dev/null || true
  done
  ip netns del "$hub" 2> /dev/null || true
  rm -rf "$lab"
}
trap cleanup EXIT

ip netns add "$hub"
ip -n "$hub" link add bridge type bridge
ip -n "$hub" link set bridge up
for n in 0 1 2 3; do
  ip netns add "blast-$id-$n"
  ip -n "$hub" link add "port$n" type veth peer name eth0 netns "blast-$id-$n"
  ip -n "$hub" link set "port$n" master bridge up
  ip -n "blast-$id-$n" addr add "$net.$((n + 1))/24" dev eth0
  ip -n "blast-$id-$n" link set lo up
  ip -n "blast-$id-$n" link set eth0 up
done
at() {
  local n=$1
  shift
  ip netns exec "blast-$id-$n" "$@"
}
at 3 "$binary" origin --host "$net.4" --port 8080 > "$lab/origin" &
pids+=($!)
for _ in $(seq 50); do
  grep -q 'origin on' "$lab/origin" && break
  sleep 0.1
done

head -c 32 /dev/urandom | base64 > "$lab/key"
profile() {
  printf '%s\ngraceful_stop = "1s"\n[[requests]]\nname = "chat"\napi = "openai-chat"\n' "$2" > "$lab/$1"
}
profile short.toml $'executor = "per-vu-iterations"\nvus = 9\niterations = 20'
profile long.toml $'executor = "constant-vus"\nvus = 9\nduration = "60s"\nthink_time = "20ms"'
shard() {
  local n=$1
  shift
  at "$n" "$binary" "$@" --target-url "http://$net.4:8080" --no-probe --shard "$n/3" \
    --rendezvous "$net.1:7946" --output "$lab/run.json"
}
field() {
  python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$1" "$2"
}
expect() {
  if [ "$2" != "$3" ]; then
    echo "FAILED: $1: $2, expected $3" >&2
    tail -n 20 "$lab"/*.log >&2
    exit 1
  fi
  echo "ok: $1: $2"
}
all() {
  local running=() codes=()
  for n in 2 1 0; do
    shard "$n" "$@" > "$lab/$n.log" 2>&1 &
    running+=($!)
  done
  if [ -n "${cut-}" ]; then
    for _ in $(seq 100); do
      grep -q 'shards started within' "$lab/0.log" && break
      sleep 0.1
    done
    sleep 1
    ip -n "$hub" link set "port$cut" down
    began=$(date +%s)
  fi
  for pid in "${running[@]}"; do
    local code=0
    wait "$pid" || code=$?
    codes+=("$code")
  done
  echo "${codes[*]}" > "$lab/codes"
}
counts='d["metrics"]["http_reqs"]["count"], d["metrics"]["data_sent"]["count"], d["metrics"]["data_received"]["count"]'

code=0
shard 0 "$lab/short.toml" > "$lab/0.log" 2>&1 || code=$?
expect "without a key" "$code: $(grep -o 'needs a key' "$lab/0.log")" "104: needs a key"

at 0 "$binary" "$lab/short.toml" --target-url "http://$net.4:8080" --no-probe --quiet --output "$lab/one.json" \
  > /dev/null
cut=
all "$lab/short.toml" --rendezvous-key-file "$lab/key"
expect "three shards, exit codes" "$(cat "$lab/codes")" "0 0 0"
expect "three shards are one run" "$(field "$lab/run.json" "$counts")" "$(field "$lab/one.json" "$counts")"
grep -h 'shards started within' "$lab/0.log"

for cut in 1 0; do
  all "$lab/long.toml" --rendezvous-key-file "$lab/key"
  took=$(($(date +%s) - began))
  expect "the link of shard $cut goes down, exit codes" "$(cat "$lab/codes")" "110 110 110"
  expect "the link of shard $cut goes down, all have ended" "$([ "$took" -le 10 ] && echo "within 10 s")" "within 10 s"
  echo "  after $took s: $(field "$lab/run-2of3.json" 'd["run"]["stop_reason"]')"
  ip -n "$hub" link set "port$cut" up
  sleep 1
done
echo "all checks passed"
