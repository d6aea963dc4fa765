#!/usr/bin/env bash
# Compares this checkout with the stored baseline of machines with as many cores.

set -euo pipefail

usage() {
  cat <<'END'
usage: benchmarks/compare-baseline.sh [--runs N] [--work DIR] [--port PORT]
       [--update] [-- LLMSIM-BLAST OPTIONS]

Runs the profile load N times, each against a fresh server, and compares the
runs with those in benchmarks/baselines/CORES-cores. Without a baseline for this
number of cores, the runs are only kept in DIR.

  --runs N      how many runs, at least 3 [5]
  --work DIR    folder of the new runs [a temporary one, which is removed]
  --port PORT   port of the server [8888]
  --update      store the new runs as the baseline instead of comparing them
  -h, --help    print this help

Options after -- are passed to every run [--duration 60s]. A baseline has to be
made with the same options.

Exit codes: 0 no gate failed, or no baseline; 99 a gate failed; 104 invalid
arguments; 107 a run failed; 110 the results cannot be compared.
END
}

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=lib/blast.sh
source "$here/lib/blast.sh"

runs=5 work='' port=8888 update=false options=(--duration 60s)
while [[ $# -gt 0 ]]; do
  case "$1" in
    -h | --help)
      usage
      exit 0
      ;;
    --update) update=true ;;
    --runs | --work | --port)
      [[ $# -ge 2 ]] || die "$1 needs a value: see --help"
      printf -v "${1#--}" '%s' "$2"
      shift
      ;;
    --)
      shift
      options=("$@")
      break
      ;;
    *) die "unknown argument '$1': see --help" ;;
  esac
  shift
done
[[ "$runs" =~ ^[1-9][0-9]?$ && "$runs" -ge 3 ]] || die "invalid value '$runs' for --runs: expected a number from 3 to 99"

bin=$(find_blast)
export LLMSIM_BLAST_BIN=$bin
if [[ -z "$work" ]]; then
  work=$(mktemp -d)
  trap 'rm -rf -- "$work"' EXIT
fi
mkdir -p "$work"
heads=()
for ((run = 1; run <= runs; run++)); do
  code=0
  "$here/run-benchmark.sh" load --port "$port" --output "$work/load-$run.json" -- --quiet "${options[@]}" || code=$?
  case "$code" in
    0 | 99) ;;
    105) exit 105 ;;
    *)
      echo "compare-baseline.sh: run $run ended with $code" >&2
      exit 107
      ;;
  esac
  heads+=("$work/load-$run.json")
done

stored=$here/baselines/$(nproc)-cores
if [[ "$update" == true ]]; then
  mkdir -p "$stored"
  rm -f -- "$stored"/load-*.json
  cp -- "${heads[@]}" "$stored/"
  echo "compare-baseline.sh: stored ${#heads[@]} runs in $stored" >&2
  exit 0
fi
bases=("$stored"/load-*.json)
if [[ ! -f "${bases[0]}" ]]; then
  echo "compare-baseline.sh: there is no baseline in $stored: make one with --update" >&2
  exit 0
fi
# Machines differ even if they have as many cores, so the gates are wide.
code=0
"$bin" compare --github auto --md "$work/compare.md" --fail-on 'throughput<-30%' --fail-on 'ttft.p95>30%' \
  --fail-on 'tbt.p95>30%' --fail-on 'error_rate>0.5pp' --base "${bases[@]}" --head "${heads[@]}" || code=$?
exit "$code"
