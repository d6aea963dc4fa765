#!/usr/bin/env bash
# Checks every endpoint of this checkout, plain, streamed and over a WebSocket, in less than 30 s.

set -euo pipefail

usage() {
  cat <<'END'
usage: benchmarks/smoke-test.sh [--quick] [--port PORT] [OPTIONS]

  --quick       send three requests instead of checking every endpoint
  --port PORT   port of the server [8889]
  -h, --help    print this help

Other options are those of run-benchmark.sh.
END
}

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
profile=smoke port=8889 args=()
while [[ $# -gt 0 ]]; do
  case "$1" in
    -h | --help)
      usage
      exit 0
      ;;
    --quick) profile=quick-smoke ;;
    --port)
      [[ $# -ge 2 ]] || { echo "smoke-test.sh: --port needs a value: see --help" >&2; exit 104; }
      port=$2
      shift
      ;;
    --)
      args+=("$@")
      break
      ;;
    *) args+=("$1") ;;
  esac
  shift
done
[[ -n "${LLMSIM_BLAST_TARGET_URL:-${K6_TARGET_URL-}}" ]] || args=(--port "$port" "${args[@]}")
exec "$here/run-benchmark.sh" "$profile" "${args[@]}"
