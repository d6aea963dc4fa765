#!/usr/bin/env bash
# Compares llmsim-blast with wrk, h2load, oha, hey and a bare epoll loop on the same work. Prints a
# Markdown section.

set -euo pipefail

usage() {
  cat <<'EOF'
usage: scripts/bench-peers.sh [OPTIONS]

Every client does the same work against the same server on this machine. The
server has one core and the client another. Clients run one at a time, in turns
(A B C, A B C, …). The result is CPU per request or event: user and system time
of the finished client process as the kernel reports it, start and end included.
Clients that are not installed are skipped. The result is written to standard
output.

  --rounds N         number of rounds, 1 to 20 [3]
  --seconds S        length of a run, 1 to 60 [5; streams 8]
  --only LIST        pieces of work: plain,stream,burst,https
                     [plain,stream,burst]
  --clients LIST     clients: floor,floor-1ms,llmsim-blast,wrk,h2load,oha,hey
                     [all]
  --bin FILE         llmsim-blast binary [target/release/llmsim-blast, built if
                     it is missing]
  --server COMMAND   server to use instead of `llmsim-blast origin`; {port}
                     stands for the port
  --server-core N    core of the server [0]
  --client-core N    core of the client [1]
  -h, --help         print this help

The work:
  plain    64 connections, a JSON response of 777 bytes
  stream   1,000 concurrent streams, out of step, 100 token events each, one
           every 20 ms in a segment of its own
  burst    64 connections, a stream of 34 token events in a single segment
  https    as plain, over TLS 1.3 with AES-256-GCM, from nginx with one worker;
           needs nginx and openssl

floor is a bare epoll loop in C that parses nothing. floor-1ms sleeps for 1 ms
before each wait (streams only) and shows what batching wake-ups is worth.

To install the clients: apt-get install wrk nghttp2-client hey; cargo install
oha --locked. The floor requires a C compiler. A full run with all clients takes
about six minutes.
EOF
}

die() {
  echo "bench-peers.sh: $*" >&2
  exit 1
}

note() {
  echo "bench-peers.sh: $*" >&2
}

# ---- options -------------------------------------------------------------------------------------

rounds=3
seconds=
works=plain,stream,burst,https
only=plain,stream,burst
clients=floor,floor-1ms,llmsim-blast,wrk,h2load,oha,hey
bin=
server=
server_core=0
client_core=1
asked="scripts/bench-peers.sh${*:+ $*}"

whole() {
  if [[ ! $2 =~ ^[0-9]{1,4}$ ]] || ((10#$2 < $3 || 10#$2 > $4)); then
    die "invalid value '$2' for $1: expected an integer from $3 to $4"
  fi
}

among() {
  local one
  for one in ${2//,/ }; do
    [[ ,$3, == *,$one,* ]] || die "invalid value '$one' for $1: expected a list of $3"
  done
}

while (($#)); do
  case $1 in
    -h | --help)
      usage
      exit 0
      ;;
    --rounds | --seconds | --only | --clients | --bin | --server | --server-core | --client-core)
      [[ -n ${2-} ]] || die "$1 requires a value"
      ;;
    *) die "unknown option $1; see --help" ;;
  esac
  case $1 in
    --rounds) whole "$1" "$2" 1 20 && rounds=$2 ;;
    --seconds) whole "$1" "$2" 1 60 && seconds=$2 ;;
    --only) among "$1" "$2" "$works" && only=$2 ;;
    --clients) among "$1" "$2" "$clients" && clients=$2 ;;
    --bin) bin=$2 ;;
    --server) server=$2 ;;
    --server-core) whole "$1" "$2" 0 1023 && server_core=$2 ;;
    --client-core) whole "$1" "$2" 0 1023 && client_core=$2 ;;
  esac
  shift 2
done

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
peers=$root/scripts/peers
for tool in taskset python3; do
  command -v "$tool" >/dev/null || die "$tool is required: apt-get install util-linux python3"
done
taskset -c "$server_core,$client_core" true 2>/dev/null ||
  die "cores $server_core and $client_core are not available; see --server-core and --client-core"
((server_core != client_core)) || die "server and client must use different cores"
ulimit -n "$(ulimit -Hn)"
(($(ulimit -n) >= 2048)) || die "1,000 streams require 2,048 open files; raise the hard limit (ulimit -Hn)"

if [[ -z $bin ]]; then
  bin=${CARGO_TARGET_DIR:-$root/target}/release/llmsim-blast
  [[ -x $bin ]] || cargo build --release --locked --manifest-path "$root/Cargo.toml" >&2
fi
[[ -x $bin ]] || die "$bin is not an executable file"

# The environment may hold settings for other tests.
while read -r name; do unset "$name"; done < <(compgen -e | grep -E '^(LLMSIM_BLAST_|K6_)' || true)

# ---- the server ----------------------------------------------------------------------------------

work=$(mktemp -d)
server_pid=
nginx_pid=
clean_up() {
  [[ -z $server_pid ]] || kill "$server_pid" 2>/dev/null || true
  [[ -z $nginx_pid ]] || kill "$nginx_pid" 2>/dev/null || true
  rm -rf -- "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

port=$(free_port)
if [[ -n $server ]]; then
  read -ra server_command <<<"${server//\{port\}/$port}"
else
  server_command=("$bin" origin --port "$port")
fi
taskset -c "$server_core" "${server_command[@]}" >"$work/server.log" 2>&1 &
server_pid=$!

# Starts nginx with TLS and the origin's response to /plain, and sets tls_port and nginx_pid.
start_nginx() {
  local body
  for tool in nginx openssl curl; do
    command -v "$tool" >/dev/null || die "https requires $tool: apt-get install nginx-light openssl curl"
  done
  body=$(curl --silent --fail --retry 5 --retry-connrefused --data '{}' "http://127.0.0.1:$port/plain") ||
    die "the server does not respond to /plain: $(tail -n 1 "$work/server.log")"
  [[ $body != *[\'\\$]* ]] || die "the response to /plain cannot be written into nginx's configuration"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1 \
    -keyout "$work/tls.key" -out "$work/tls.pem" 2>/dev/null
  tls_port=$(free_port)
  cat >"$work/nginx.conf" <<EOF
daemon off;
master_process off;
pid $work/nginx.pid;
error_log $work/nginx.log;
events { worker_connections 1024; }
http {
  access_log off;
  keepalive_requests 100000000;
  client_body_temp_path $work;
  proxy_temp_path $work;
  fastcgi_temp_path $work;
  uwsgi_temp_path $work;
  scgi_temp_path $work;
  server {
    listen 127.0.0.1:$tls_port ssl;
    ssl_certificate $work/tls.pem;
    ssl_certificate_key $work/tls.key;
    ssl_protocols TLSv1.3;
    ssl_conf_command Ciphersuites TLS_AES_256_GCM_SHA384;
    default_type application/json;
    location / { return 200 '$body'; }
  }
}
EOF
  taskset -c "$server_core" nginx -c "$work/nginx.conf" -e "$work/nginx.log" &
  nginx_pid=$!
  curl --silent --fail --insecure --retry 5 --retry-connrefused --data '{}' -o /dev/null "https://127.0.0.1:$tls_port/" ||
    die "nginx does not respond: $(tail -n 1 "$work/nginx.log")"
}

# ---- the work ------------------------------------------------------------------------------------

tokens_of() {
  case $1 in plain | https) echo 1 ;; stream) echo 100 ;; burst) echo 34 ;; esac
}

connections_of() {
  case $1 in stream) echo 1000 ;; *) echo 64 ;; esac
}

path_of() {
  case $1 in
    plain | https) echo /plain ;;
    # Streams in step would arrive in bursts, which batch wake-ups for every client. Real streams do
    # not.
    stream) echo "/stream?ttft=50ms&gap=20ms&tokens=100&spread=true" ;;
    burst) echo "/burst?tokens=34" ;;
  esac
}

# A stream lasts 2.05 s. Clients that count finished streams only get a fixed number of them instead
# of a duration.
seconds_of() {
  case $1 in stream) echo "${seconds:-8}" ;; *) echo "${seconds:-5}" ;; esac
}

# Prints how many streams one connection can do in that time, one after the other.
turns_of() {
  local turns=$(($(seconds_of "$1") / 2))
  echo $((turns > 0 ? turns : 1))
}

# Writes the request as bytes, as a body and as a profile, and measures the length of the response.
prepare() {
  local name=$1 stream body
  [[ $name == plain || $name == https ]] && stream=false || stream=true
  body='{"model":"gpt-4o","messages":[{"role":"user","content":"Say hello."}],"stream":'$stream'}'
  printf '%s' "$body" >"$work/$name.body"
  printf 'POST %s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s' \
    "$(path_of "$name")" "$port" "${#body}" "$body" >"$work/$name.request"
  cat >"$work/$name.toml" <<EOF
executor = "constant-vus"
vus = $(connections_of "$name")
duration = "$(seconds_of "$name")s"
graceful_stop = "5s"

[[requests]]
name = "$name"
api = "openai-chat"
stream = $stream
model = "gpt-4o"
prompt = "Say hello."
path = "$(path_of "$name")"
EOF
  # Over TLS no client is counted by bytes.
  [[ $name != https ]] || { start_nginx && echo 0 >"$work/$name.bytes" && return; }
  python3 "$peers/answer.py" "$port" "$work/$name.request" >"$work/$name.bytes" ||
    die "the server does not respond to $(path_of "$name"): $(tail -n 1 "$work/server.log")"
}

# ---- the clients: command lines, and how to read the number of requests or bytes -----------------

is_installed() {
  case $1 in
    floor | floor-1ms) [[ -x $work/floor ]] ;;
    llmsim-blast) true ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

version_of() {
  case $1 in
    floor) echo "scripts/peers/floor.c, $(cc --version | head -n 1)" ;;
    llmsim-blast)
      "$bin" --version | tr -d '\n'
      python3 -c 'import json, sys; print(", built from", json.load(open(sys.argv[1]))["build"]["git_commit"])' "$work/ours.json"
      ;;
    wrk) { wrk --version || true; } 2>&1 | head -n 1 | cut -d ' ' -f 1-3 ;;
    h2load) h2load --version ;;
    oha) oha --version ;;
    hey) dpkg-query -W -f 'hey ${Version}\n' hey 2>/dev/null || echo "hey (unknown version)" ;;
  esac
}

# Sets `command`.
command_for() {
  local client=$1 name=$2 base url connections length body
  base=http://127.0.0.1:$port
  [[ $name != https ]] || base=https://127.0.0.1:$tls_port
  url=$base$(path_of "$name")
  connections=$(connections_of "$name")
  length=$(seconds_of "$name")
  body=$work/$name.body
  local -a limit=(-z "${length}s")
  [[ $name == stream ]] && limit=(-n "$((connections * $(turns_of "$name")))")
  case $client in
    floor | floor-1ms)
      local bytes=0 # 0: recognise the end of a chunked body
      [[ $name == plain ]] && bytes=$(<"$work/$name.bytes")
      command=("$work/floor" "$port" "$connections" "$length" "$work/$name.request" "$bytes")
      [[ $client == floor ]] || command+=(1000)
      ;;
    llmsim-blast)
      command=("$bin" "$work/$name.toml" --target-url "$base" --no-server --workers 1 --no-pin --quiet
        --output "$work/ours.json")
      [[ $name != https ]] || command+=(--insecure)
      ;;
    wrk)
      command=(env "PEERS_BODY=$body" wrk -t 1 -c "$connections" -d "${length}s" --timeout 10s -s "$peers/count.lua" "$url")
      ;;
    h2load)
      command=(h2load --h1 -t 1 -c "$connections" -D "$length" -d "$body" -H 'content-type: application/json' "$url")
      ;;
    oha)
      command=(oha --no-tui --insecure --output-format json "${limit[@]}" -c "$connections" -m POST -T application/json -D "$body"
        --disable-compression "$url")
      ;;
    hey)
      command=(hey -cpus 1 -disable-compression "${limit[@]}" -c "$connections" -m POST -T application/json -D "$body" "$url")
      ;;
  esac
}

# Prints "requests N", or "bytes N" if the last streams were cut off. Fails if a request failed.
count_of() {
  local client=$1 name=$2 out=$work/out kind=requests
  [[ $name == stream ]] && kind=bytes
  case $client in
    floor | floor-1ms | wrk)
      grep -q 'failed=[^0]' "$out" && return 1
      sed -n "s/^.*\b$kind=\([0-9]*\).*/$kind \1/p" "$out"
      ;;
    llmsim-blast)
      python3 - "$work/ours.json" "$name" <<'EOF'
import json
import sys

metrics = json.load(open(sys.argv[1]))["metrics"]
if metrics["http_req_failed"]["matches"]:
    sys.exit(1)
print("events", metrics["token_events"]["count"]) if sys.argv[2] == "stream" else print("requests", metrics["http_reqs"]["count"])
EOF
      ;;
    h2load)
      grep -q ' 0 failed, 0 errored' "$out" || return 1
      if [[ $kind == bytes ]]; then
        sed -n 's/^traffic: [^(]*(\([0-9]*\)) total.*/bytes \1/p' "$out"
      else
        sed -n 's/^requests: .* \([0-9]*\) succeeded.*/requests \1/p' "$out"
      fi
      ;;
    oha)
      python3 - "$out" <<'EOF'
import json
import sys

answers = json.load(open(sys.argv[1]))["statusCodeDistribution"]
if set(answers) != {"200"}:
    sys.exit(1)
print("requests", answers["200"])
EOF
      ;;
    hey)
      grep -q 'Error distribution' "$out" && return 1
      sed -n 's/^ *\[200\][[:space:]]*\([0-9]*\) responses.*/requests \1/p' "$out"
      ;;
  esac
}

# Prints for how many ms the server has waited for its core so far; 0 if the kernel does not tell.
server_waited() {
  local waited=0
  local pid=$server_pid
  [[ $1 != https ]] || pid=$nginx_pid
  [[ ! -r /proc/$pid/schedstat ]] || read -r _ waited _ <"/proc/$pid/schedstat"
  echo $((waited / 1000000))
}

# Runs one client once and adds a line to rounds.tsv.
run() {
  local client=$1 name=$2 round=$3 kind number count user system wall waited
  local -a command
  command_for "$client" "$name"
  # CPU time as the kernel reports it to wait4, with ms precision.
  waited=$(server_waited "$name")
  local TIMEFORMAT='%3U %3S %3R'
  { time taskset -c "$client_core" "${command[@]}" >"$work/out" 2>"$work/err" || echo $? >"$work/status"; } 2>"$work/time"
  if [[ -e $work/status ]]; then
    note "$name, $client: exited with $(<"$work/status"): $(tail -n 1 "$work/err")"
    rm -- "$work/status"
    return
  fi
  waited=$(($(server_waited "$name") - waited))
  read -r user system wall <"$work/time"
  # Requests in flight at the end of the run are neither finished nor failed.
  if ! read -r kind number < <(count_of "$client" "$name"); then
    note "$name, $client: requests failed, or the output could not be read; this run is not counted"
    return
  fi
  count=$(python3 - "$kind" "$number" "$(tokens_of "$name")" "$(<"$work/$name.bytes")" "$name" <<'EOF'
import sys

kind, number, tokens, answer, name = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
if name == "stream":
    number = {"events": number, "requests": number * tokens, "bytes": number * tokens // answer}[kind]
print(number)
EOF
  )
  printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$name" "$round" "$client" "$count" \
    "$(python3 -c 'import sys; print(f"{float(sys.argv[1]) + float(sys.argv[2]):.3f}")' "$user" "$system")" "$wall" "$waited" \
    >>"$work/rounds.tsv"
  note "$name, round $round, $client: $count in $wall s, CPU $user + $system s"
}

# Keeps the token times that llmsim-blast measured during its run.
remember_ours() {
  [[ $2 == stream && -e $work/ours.json ]] || return 0
  python3 - "$work/ours.json" >>"$work/latency.txt" <<EOF
import json
import sys

m = json.load(open(sys.argv[1]))["metrics"]
print(
    f"round $1: {m['ttft']['count']} TTFTs, p50 {m['ttft']['p50']:.1f} ms, p99 {m['ttft']['p99']:.1f} ms; "
    f"{m['tbt']['count']} gaps, p50 {m['tbt']['p50']:.1f} ms, p99 {m['tbt']['p99']:.1f} ms"
)
EOF
}

# ---- run -----------------------------------------------------------------------------------------

if [[ ,$clients, == *,floor* ]] && command -v cc >/dev/null; then
  cc -O2 -o "$work/floor" "$peers/floor.c"
fi
chosen=()
for client in ${clients//,/ }; do
  if is_installed "$client"; then
    chosen+=("$client")
  else
    note "$client is skipped because it is not installed; see --help"
  fi
done
((${#chosen[@]})) || die "none of these clients is installed: $clients"

: >"$work/rounds.tsv"
: >"$work/latency.txt"
load=$(cut -d ' ' -f 1 /proc/loadavg)
for name in ${only//,/ }; do
  prepare "$name"
  for ((round = 1; round <= rounds; round++)); do
    for client in "${chosen[@]}"; do
      [[ $client == floor-1ms && $name != stream || $client == floor && $name == https ]] && continue
      kill -0 "$server_pid" 2>/dev/null || die "the server has exited: $(tail -n 1 "$work/server.log")"
      run "$client" "$name" "$round"
    done
    remember_ours "$round" "$name"
  done
done

# ---- print ---------------------------------------------------------------------------------------

cat <<EOF
- Date: $(date -u +%Y-%m-%d)
- Machine: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc --all) cores, $(uname -sr), load before the run $load
- Server: \`${server_command[0]##*/}${server_command[1]:+ ${server_command[1]}}\` on core $server_core; clients on core $client_core
- Repeat: \`$asked\`
EOF
[[ -z $nginx_pid ]] || echo "- https: $(nginx -v 2>&1)"
for client in "${chosen[@]}"; do
  # floor-1ms is the same program.
  [[ $client == floor-1ms ]] || echo "- $client: $(version_of "$client")"
done
echo
python3 "$peers/table.py" "$work/rounds.tsv"
if [[ -s $work/latency.txt ]]; then
  printf '\nToken times that llmsim-blast reported for these streams (as sent: TTFT 50 to 70 ms, evenly spread; gaps 20 ms):\n\n```text\n'
  cat "$work/latency.txt"
  printf '```\n'
fi
