#!/usr/bin/env bash
# Runs a static binary in a root that contains nothing else.

set -euo pipefail

usage() {
  cat <<'END'
usage: scripts/ship/static-check.sh BINARY

Checks that BINARY needs no file of the system. In a root with only BINARY
and /etc/hosts, it must print its version, resolve localhost, send plain load,
and speak TLS with a server whose certificate is made here. If it holds the
simulator, quick-smoke must pass there, too. It needs openssl, python3, and
root or user namespaces. Load goes to loopback only.

  -h, --help   print this help

Exit codes: 0 every check passed, 99 one failed, 104 invalid arguments, 107 a
program is missing, or chroot is not allowed here.
END
}

# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

bin=''
case "${1-}" in
  -h | --help)
    usage
    exit 0
    ;;
  *) bin=${1-} ;;
esac
[[ -f $bin && -x $bin ]] || die 104 "'$bin' is not a binary: expected an executable file"
need openssl python3 readelf chroot

work=$(mktemp -d)
servers=()
end() {
  ((${#servers[@]} == 0)) || kill -- "${servers[@]}" 2>/dev/null || true
  rm -rf -- "$work"
}
trap end EXIT
fail() {
  [[ ! -s $work/said ]] || cat "$work/said" >&2
  die 99 "$@"
}
said() { echo "ok: $*"; }

! readelf -d "$bin" | grep -q NEEDED || fail "it needs libraries: $(readelf -d "$bin" | grep NEEDED)"
! readelf -l "$bin" | grep -q INTERP || fail "it needs a dynamic loader"
! readelf -S "$bin" | grep -qE '\.(symtab|debug_info)' || fail "it is not stripped"
said "it is static and stripped, and has $(stat -c %s "$bin") bytes"

mkdir -p "$work/root/etc" "$work/root/tmp"
cp -- "$bin" "$work/root/llmsim-blast"
enter=(chroot "$work/root")
[[ $(id -u) -eq 0 ]] || enter=(unshare --map-root-user "${enter[@]}")
# Runs the binary with these arguments in the root, and with an empty environment.
inside() { env -i PATH="$PATH" timeout 60 "${enter[@]}" /llmsim-blast "$@" >"$work/said" 2>&1 </dev/null; }

inside --version || die 107 "chroot is not allowed here: $(cat "$work/said")"
said "$(head -n 1 "$work/said") runs in an empty root"

# Without /etc/hosts, localhost does not resolve. Containers have this file.
echo '127.0.0.1 localhost' > "$work/root/etc/hosts"

cat > "$work/server.py" <<'END'
import http.server, json, ssl, sys

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        message = {"role": "assistant", "content": "one two"}
        body = {"id": "1", "object": "chat.completion", "created": 1, "model": "m",
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}}
        body = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
if len(sys.argv) > 2:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2], sys.argv[3])
    server.socket = context.wrap_socket(server.socket, server_side=True)
with open(sys.argv[1], "w") as file:
    file.write(f"{server.server_address[1]}\n")
server.serve_forever()
END
cat > "$work/root/check.toml" <<'END'
description = "ten plain requests"
executor = "per-vu-iterations"
vus = 1
iterations = 10

[[requests]]
name = "plain"
api = "openai-chat"

[thresholds]
http_req_failed = ["rate<0.01"]
END
{
  ec=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
  openssl req -x509 "${ec[@]}" -days 2 -subj /CN=check-ca -keyout "$work/ca.key" -out "$work/root/ca.pem" &&
    openssl req "${ec[@]}" -subj /CN=localhost -keyout "$work/key.pem" -out "$work/request.pem" &&
    openssl x509 -req -in "$work/request.pem" -CA "$work/root/ca.pem" -CAkey "$work/ca.key" -CAcreateserial -days 2 \
      -extfile <(echo subjectAltName=DNS:localhost) -out "$work/cert.pem"
} >"$work/said" 2>&1 || fail "openssl could not make a certificate"
# Starts a server, and sets port.
serve() {
  python3 "$work/server.py" "$work/port" "$@" &
  servers+=($!)
  for _ in $(seq 100); do
    [[ ! -s $work/port ]] || break
    sleep 0.1
  done
  port=$(<"$work/port")
  rm "$work/port"
}
serve
inside /check.toml --no-probe --target-url "http://localhost:$port" || fail "plain load fails"
said "it resolves localhost and sends load"
serve "$work/cert.pem" "$work/key.pem"
inside /check.toml --no-probe --target-url "https://localhost:$port" --cacert /ca.pem || fail "load over TLS fails"
said "it speaks TLS, and trusts the certificate in --cacert"
! inside /check.toml --no-probe --target-url "https://localhost:$port" || fail "an unknown certificate is trusted"
grep -qi certificate "$work/said" || fail "the error does not name the certificate"
said "it refuses an unknown certificate"
# The simulator is a process of the same file, which Linux names in /proc. It reads some devices.
mkdir -p "$work/root/proc" "$work/root/dev"
touch "$work/root/dev/null" "$work/root/dev/random" "$work/root/dev/urandom"
# shellcheck disable=SC2016
enter=(unshare --mount --pid --fork sh -c 'mount -t proc proc "$0/proc" && for device in null random urandom; do
  mount --bind "/dev/$device" "$0/dev/$device" || exit; done && exec chroot "$0" "$@"' "$work/root")
[[ $(id -u) -eq 0 ]] || enter=("${enter[0]}" --map-root-user "${enter[@]:1}")
if inside quick-smoke; then
  said "quick-smoke passes with the simulator inside"
else
  grep -q 'built without the embedded simulator' "$work/said" || fail "quick-smoke fails"
  said "it is the client alone"
fi
