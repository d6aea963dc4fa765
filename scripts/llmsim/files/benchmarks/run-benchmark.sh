#!/usr/bin/env bash
# Tests llmsim under load with llmsim-blast.

set -euo pipefail

usage() {
  cat <<'END'
usage: benchmarks/run-benchmark.sh [PROFILE] [OPTIONS] [-- LLMSIM-BLAST OPTIONS]
       benchmarks/run-benchmark.sh throughput [OPTIONS]

Builds this checkout, starts it, tests it, and stops it again.

Profiles: quick-smoke, smoke (the default), load, stress, spike, soak,
high-concurrency, all-apis, scenarios.

  --no-server         test a server that is running already
  --port PORT         port of the server [8888; throughput: 8899]
  --output FILE       write all results to FILE as JSON
  --vus N             peak number of users
  --chaos             let the server inject errors
  --config FILE       configuration of the server
  -h, --help          print this help

Of throughput only:

  --workers LIST      worker threads of the server, like 1,2,4
  --concurrency LIST  requests in flight, like 16,64,256
  --duration D        how long each step is measured [30s]
  --warmup D          how long each server is warmed up [5s]

Environment:

  K6_TARGET_URL or LLMSIM_BLAST_TARGET_URL
                            test the server at this URL and start none
  LLMSIM_BLAST_BIN          llmsim-blast to use
  LLMSIM_BLAST_SRC          its sources, to build it from
  LLMSIM_BLAST_SERVER_BIN   llmsim to start instead of building this checkout

Exit codes: 0 passed, 99 a threshold or an endpoint failed, 104 invalid
arguments, 105 interrupted, 107 no server or no usable data.
END
}

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=lib/blast.sh
source "$here/lib/blast.sh"

profile=smoke port='' config='' chaos=false server=true
args=() rest=()
while [[ $# -gt 0 ]]; do
  case "$1" in
    -h | --help)
      usage
      exit 0
      ;;
    --)
      shift
      rest=("$@")
      break
      ;;
    --no-server) server=false ;;
    --chaos) chaos=true ;;
    --port | --output | --vus | --config | --workers | --concurrency | --duration | --warmup)
      [[ $# -ge 2 ]] || die "$1 needs a value: see --help"
      case "$1" in
        --port) port=$2 ;;
        --config) config=$2 ;;
        --workers) args+=(--server-workers "$2") ;;
        *) args+=("$1" "$2") ;;
      esac
      shift
      ;;
    quick-smoke | smoke | load | stress | spike | soak | high-concurrency | all-apis | scenarios | throughput)
      profile=$1
      ;;
    *) die "unknown argument '$1': see --help" ;;
  esac
  shift
done
if [[ "$profile" == throughput ]]; then
  [[ "$chaos" == false && -z "$config" ]] || die "--chaos and --config are not for throughput: see --help"
fi
default_port=8888
[[ "$profile" != throughput ]] || default_port=8899

if [[ -n "${LLMSIM_BLAST_TARGET_URL:-${K6_TARGET_URL-}}" ]]; then
  # llmsim-blast reads both names.
  server=false
  [[ -z "$port" ]] || die "--port and a target URL in the environment exclude each other: expected one of them"
elif [[ "$server" == false ]]; then
  args+=(--target-url "http://127.0.0.1:${port:-$default_port}")
fi
if [[ "$server" == true ]]; then
  args+=(--port "${port:-$default_port}")
  [[ -n "${LLMSIM_BLAST_SERVER_BIN-}" ]] || args+=(--server-src "$(dirname -- "$here")")
  if [[ "$profile" != throughput ]]; then
    if [[ -z "$config" && "$chaos" == true ]]; then
      config=$here/config/chaos.toml
    fi
    args+=(--server-config "${config:-$here/config/benchmark.toml}")
  fi
elif [[ "$chaos" == true || -n "$config" ]]; then
  die "--chaos and --config configure a server that is started: they cannot be used without one"
else
  args+=(--no-server)
fi

bin=$(find_blast)
# llmsim-blast starts the server, and stops it in every case.
exec "$bin" "$profile" "${args[@]}" "${rest[@]}"
