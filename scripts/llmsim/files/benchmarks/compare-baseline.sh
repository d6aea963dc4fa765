#!/usr/bin/env bash
# Compares this checkout with the stored baseline of machines with as many cores.

set -euo pipefail

usage() {
  cat <<'END'
usage: benchmarks/compare-baseline.sh [load|throughput] [--runs N] [--work DIR]
       [--port PORT] [--update] [-- LLMSIM-BLAST OPTIONS]

Runs the profile load N times, each against a fresh server, and compares the
runs with those in benchmarks/baselines/CORES-cores. With throughput, it
measures the peak rates N times instead, and compares those. Without a baseline
for this number of cores, the runs are only kept in DIR.

  --runs N      number of runs, at least 3 [5; throughput: 3]
  --work DIR    folder of the new runs [a temporary one, which is removed]
  --port PORT   port of the server [8888; throughput: 8899]
  --update      store the new runs as the baseline instead of comparing them
  -h, --help    print this help

Options after -- are passed to every run [--duration 60s; throughput:
--duration 10s]. A baseline has to be made with the same options.

A gate fails if a rate is more than 30 % lower, a p95 of load more than 30 %
higher, or the failure rate of load more than half a percentage point higher.

Exit codes: 0 no gate failed, or no baseline; 99 a gate failed; 104 invalid
arguments; 107 a run failed; 110 the results cannot be compared.
END
}

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=lib/blast.sh
source "$here/lib/blast.sh"

kind=load runs='' work='' port='' update=false options=()
while [[ $# -gt 0 ]]; do
  case "$1" in
    -h | --help)
      usage
      exit 0
      ;;
    load | throughput) kind=$1 ;;
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
# Machines differ even if they have as many cores, so the gates are wide.
case "$kind" in
  load)
    : "${runs:=5}" "${port:=8888}"
    ((${#options[@]} > 0)) || options=(--duration 60s)
    gates=(--fail-on 'throughput<-30%' --fail-on 'ttft.p95>30%' --fail-on 'tbt.p95>30%' --fail-on 'error_rate>0.5pp')
    ;;
  throughput)
    : "${runs:=3}" "${port:=8899}"
    ((${#options[@]} > 0)) || options=(--duration 10s)
    gates=(--fail-on 'requests_per_s<-30%' --fail-on 'tokens_per_s<-30%')
    ;;
esac
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
  "$here/run-benchmark.sh" "$kind" --port "$port" --output "$work/$kind-$run.json" -- --quiet "${options[@]}" || code=$?
  case "$code" in
    0 | 99) ;;
    105) exit 105 ;;
    *)
      echo "compare-baseline.sh: run $run ended with $code" >&2
      exit 107
      ;;
  esac
  heads+=("$work/$kind-$run.json")
done

stored=$here/baselines/$(nproc)-cores
if [[ "$update" == true ]]; then
  mkdir -p "$stored"
  rm -f -- "$stored/$kind"-*.json
  cp -- "${heads[@]}" "$stored/"
  echo "compare-baseline.sh: stored ${#heads[@]} runs of $kind in $stored" >&2
  exit 0
fi
bases=("$stored/$kind"-*.json)
if [[ ! -f "${bases[0]}" ]]; then
  echo "compare-baseline.sh: there is no baseline of $kind in $stored: make one with --update" >&2
  exit 0
fi
code=0
"$bin" compare --github auto --md "$work/compare-$kind.md" "${gates[@]}" --base "${bases[@]}" --head "${heads[@]}" ||
  code=$?
exit "$code"
