#!/usr/bin/env bash
# Runs the smoke test for CI. The exit code is the tool's: 0 if every threshold and endpoint passed,
# 99 otherwise.

set -euo pipefail

usage() {
  cat <<'END'
usage: scripts/smoke-test.sh [--quick] [LLMSIM-BLAST OPTIONS]

Runs `llmsim-blast smoke` (at most 30 s), or `llmsim-blast quick-smoke` with
--quick (a few seconds). All other arguments are passed on:

  scripts/smoke-test.sh --quick
  scripts/smoke-test.sh --output smoke.json
  scripts/smoke-test.sh --target-url http://HOST:8080

Without a target, a simulator is started and stopped again. The binary is built
if it is missing.

  --quick               run quick-smoke instead of smoke (must come first)
  -h, --help            print this help
  LLMSIM_BLAST_BIN      binary to use instead of building one
  CARGO_TARGET_DIR      cargo's target folder, as usual

Exit codes are those of llmsim-blast: 0 passed, 99 a threshold or endpoint
failed, 104 invalid configuration, 107 no usable data.
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

# Stay in the caller's folder: paths among the options are relative to it.
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)

if [[ -n "${LLMSIM_BLAST_BIN-}" ]]; then
  bin=$LLMSIM_BLAST_BIN
  if [[ ! -f "$bin" || ! -x "$bin" ]]; then
    echo "smoke-test.sh: LLMSIM_BLAST_BIN=$bin is not an executable file" >&2
    exit 104
  fi
else
  # cargo resolves a relative target folder from the current folder.
  bin=${CARGO_TARGET_DIR:-$root/target}/release/llmsim-blast
  if [[ ! -x "$bin" ]]; then
    cargo build --release --locked --manifest-path "$root/Cargo.toml" >&2
  fi
fi

# `exec` would search PATH for a bare name.
[[ "$bin" == */* ]] || bin=./$bin
exec "$bin" "$profile" "$@"
