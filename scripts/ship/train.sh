#!/usr/bin/env bash
# Records which code a load uses often, so that build.sh can optimise for it (PGO).

set -euo pipefail

usage() {
  cat <<'END'
usage: scripts/ship/train.sh [OPTIONS]

Builds an instrumented binary, sends load with it to the origin, to a server
with TLS and to the simulator, and writes what was counted to FILE, for build.sh
--profile FILE. Two runs give slightly different counts, and so different
binaries: keep FILE to build the same bytes again. It needs llvm-profdata
(rustup component add llvm-tools), openssl and python3. Load goes to loopback
only. The build takes minutes, and the load one more.

  --target TRIPLE  target of the build, which must run here [as in build.sh]
  --client         train the client alone, without the simulator
  --plain          without cargo-auditable, which changes the names of functions
  --out FILE       the result [target/ship/llmsim-blast.profdata]
  -h, --help       print this help

cargo's own folder is CARGO_TARGET_DIR, as usual.

Exit codes: 0 written, 99 a load failed, 104 invalid arguments, 107 a program
is missing, or else that of build.sh.
END
}

# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

to='' options=() simulator=true
while [[ $# -gt 0 ]]; do
  case "$1" in
    --client)
      options+=("$1")
      simulator=false
      ;;
    --plain) options+=("$1") ;;
    --target)
      target=$(value "$@")
      need_target "$target"
      [[ $target == "$(uname -m)"-* ]] ||
        die 104 "a binary for $target does not run on this machine: train on one of its kind"
      options+=("$1" "$target")
      shift
      ;;
    --out)
      to=$(value "$@")
      shift
      ;;
    -h | --help)
      usage
      exit 0
      ;;
    *) die 104 "unknown argument '$1': see --help" ;;
  esac
  shift
done
to=${to:-$out/llmsim-blast.profdata}
need rustc openssl python3
# The version must be that of the compiler's LLVM.
merge=$(rustc --print sysroot)/lib/rustlib/$(triple gnu)/bin/llvm-profdata
[[ -x $merge ]] || die 107 "llvm-profdata is required, and is not installed: run rustup component add llvm-tools"

work=$(mktemp -d)
trap end EXIT
bin=$("$root/scripts/ship/build.sh" --instrument "${options[@]}" --out "$work/bin")

# A file for each process, written at its end.
export LLVM_PROFILE_FILE="$work/counts/%p.profraw"
while read -r name; do unset "$name"; done < <(compgen -e | grep -E '^(LLMSIM_BLAST_|K6_)' || true)

# Runs llmsim-blast for at most two minutes. No request may fail, but the binary may be slow.
blast() {
  local code=0
  timeout 120 "$bin" "$@" --no-thresholds --threshold 'http_req_failed rate==0' --quiet --output "$work/result.json" \
    >"$work/said" 2>&1 </dev/null || code=$?
  [[ $code -eq 0 ]] || { cat "$work/said" >&2 && die 99 "llmsim-blast $1 ended with $code"; }
  sed -n '1s/^/train.sh: /p' "$work/said" >&2
}

# ---- the origin: all that an engine does --------------------------------------------------------

"$bin" origin --port 0 >"$work/origin" &
origin=$!
servers+=("$origin")
await "$work/origin"
to_origin=(--target-url "$(sed -n 's/^origin on //p' "$work/origin")" --no-server --workers 1)

# Sends N requests by VUS users: load NAME VUS N PATH STREAM FLAGS…
load() {
  cat > "$work/$1.toml" <<END
executor = "shared-iterations"
vus = $2
iterations = $3
max_duration = "60s"

[[requests]]
name = "$1"
api = "openai-chat"
stream = $5
model = "gpt-4o"
path = "$4"

[slo]
http_req_duration = "<1s"
END
  blast "$work/$1.toml" "${@:6}"
}
load plain 64 100000 /plain false "${to_origin[@]}"
load burst 64 20000 "/burst?tokens=34" true "${to_origin[@]}"
load stream 500 1500 "/stream?ttft=50ms&gap=20ms&tokens=100&spread=true" true "${to_origin[@]}"
blast load --rate 500 --vus 800 --duration 5s --requests "$work/requests.csv" "${to_origin[@]}"

# ---- TLS ----------------------------------------------------------------------------------------

make_certificate "$work" 2>"$work/said" || { cat "$work/said" >&2 && die 99 "openssl could not make a certificate"; }
serve "$work/cert.pem" "$work/key.pem"
to_tls=(--target-url "https://localhost:$port" --cacert "$work/ca.pem" --no-probe --no-server --workers 1)
load tls 8 2000 /v1/chat/completions false "${to_tls[@]}"
load tls-stream 8 1000 /v1/chat/completions true "${to_tls[@]}"

# ---- the simulator, and every API ---------------------------------------------------------------

if $simulator; then
  blast all-apis --vus 20 --duration 10s
  blast high-concurrency --vus 200 --duration 10s
fi

# A process that is killed writes no counts.
kill -- "$origin"
wait "$origin" || die 99 "the origin did not end by itself, so it has not written what it counted"
mkdir -p "$(dirname -- "$to")"
"$merge" merge --sparse -o "$to" "$work"/counts/*.profraw
echo "$to: $(stat -c %s "$to") bytes" >&2
echo "$to"
