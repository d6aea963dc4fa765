#!/usr/bin/env bash
# Runs the smoke test for CI and ends with the tool's exit code: 0 when every threshold held and no endpoint failed, else 99.

set -euo pipefail

usage() {
  cat <<'END'
usage: scripts/smoke-test.sh [--quick] [LLMSIM-BLAST OPTIONS]

Runs `llmsim-blast smoke` (at most 30 s), with --quick `llmsim-blast quick-smoke` (a few seconds). Everything else is passed on:

  scripts/smoke-test.sh --quick
  scripts/smoke-test.sh --output smoke.json
  scripts/smoke-test.sh --target-url http://HOST:8080

Without a target, a simulator is started and stopped again. The binary is built when it is not there.

  --quick               quick-smoke instead of smoke (to be given first)
  -h, --help            this text
  LLMSIM_BLAST_BIN      the binary to use; never built then
  CARGO_TARGET_DIR      where cargo puts the binary, as usual

Exit code: that of llmsim-blast. 0 passed, 99 a threshold or endpoint failed, 107 no usable data, 104 bad configuration.
END
}

profile=smoke
case "${1-}" in
  --quick)
    profile=quick-smoke
    shift
    ;;
  -h | --help)
    usage
    exit 0
    ;;
esac

# The caller's folder stays: paths among the options are relative to it.
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)

if [[ -n "${LLMSIM_BLAST_BIN-}" ]]; then
  bin=$LLMSIM_BLAST_BIN
  if [[ ! -f "$bin" || ! -x "$bin" ]]; then
    echo "smoke-test.sh: LLMSIM_BLAST_BIN=$bin is not an executable file" >&2
    exit 104
  fi
else
  # cargo takes a relative target folder from where it is called.
  bin=${CARGO_TARGET_DIR:-$root/target}/release/llmsim-blast
  if [[ ! -x "$bin" ]]; then
    cargo build --release --locked --manifest-path "$root/Cargo.toml" >&2
  fi
fi

# A bare name would be searched for in PATH.
[[ "$bin" == */* ]] || bin=./$bin
exec "$bin" "$profile" "$@"
