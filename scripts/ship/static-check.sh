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
make_certificate "$work" >"$work/said" 2>&1 || fail "openssl could not make a certificate"
cp -- "$work/ca.pem" "$work/root/"
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
