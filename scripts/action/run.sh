#!/usr/bin/env bash
# Runs a profile for the GitHub Action, and compares the result with a baseline.

set -euo pipefail

usage() {
  cat <<'END'
usage: run.sh

Everything comes from the environment, as the action sets it:

  LLMSIM_BLAST_BIN    binary of llmsim-blast
  INPUT_PROFILE       built-in profile or TOML file [smoke]
  INPUT_TARGET        URL of the server to test [start the simulator]
  INPUT_OPTIONS       more options of llmsim-blast, one a line
  INPUT_THRESHOLDS    thresholds in place of the profile's, one a line:
                      ttft p(95)<500ms
  INPUT_RUNS          how many runs [1]
  INPUT_GATES         gates of the comparison, one a line: throughput<-10%
  INPUT_OUT           folder of the results [llmsim-blast]
  INPUT_BASELINE      folder with the results of a baseline, if there is one

Writes run-N.json, run-N.html and, if there is a baseline, compare.json and
compare.md to INPUT_OUT. GITHUB_STEP_SUMMARY receives the summaries.

Exit codes are those of llmsim-blast. The worst run's counts. If all runs
passed, the comparison's counts.
END
}

die() {
  echo "run.sh: $*" >&2
  exit 104
}

case "${1-}" in
  '') ;;
  -h | --help)
    usage
    exit 0
    ;;
  *) die "unexpected argument '$1': see --help" ;;
esac

profile=${INPUT_PROFILE:-smoke}
out=${INPUT_OUT:-llmsim-blast}
runs=${INPUT_RUNS:-1}
bin=${LLMSIM_BLAST_BIN:?is not set: expected the path of llmsim-blast}
[[ "$runs" =~ ^[1-9][0-9]?$ ]] || die "invalid value '$runs' for the input runs: expected a number from 1 to 99"
mkdir -p "$out"

# Reads the lines of a variable into the array `lines`, without empty lines.
lines_of() {
  lines=()
  local line
  while IFS= read -r line; do
    line=${line#"${line%%[![:space:]]*}"}
    line=${line%"${line##*[![:space:]]}"}
    [[ -z "$line" ]] || lines+=("$line")
  done <<< "$1"
}

lines_of "${INPUT_OPTIONS-}"
options=("${lines[@]}")
lines_of "${INPUT_THRESHOLDS-}"
[[ ${#lines[@]} -eq 0 ]] || options+=(--no-thresholds)
for rule in "${lines[@]}"; do
  options+=(--threshold "$rule")
done
[[ -z "${INPUT_TARGET-}" ]] || options+=(--target-url "$INPUT_TARGET")
worst=0
heads=()
for ((run = 1; run <= runs; run++)); do
  code=0
  "$bin" "$profile" --github auto --quiet --output "$out/run-$run.json" --html "$out/run-$run.html" \
    "${options[@]}" || code=$?
  [[ "$code" -le "$worst" ]] || worst=$code
  # Later runs would fail in the same way, or the user has interrupted the run.
  case "$code" in 0 | 99) heads+=("$out/run-$run.json") ;; *) break ;; esac
done

bases=()
for base in "${INPUT_BASELINE:-/nonexistent}"/run-*.json; do
  [[ ! -f "$base" ]] || bases+=("$base")
done
if [[ ${#bases[@]} -eq 0 || ${#heads[@]} -lt $runs ]]; then
  [[ -z "${INPUT_BASELINE-}" || "$worst" -gt 99 ]] || echo "::notice::llmsim-blast: there is no baseline to compare with"
  exit "$worst"
fi
lines_of "${INPUT_GATES-}"
gates=()
for gate in "${lines[@]}"; do
  gates+=(--fail-on "$gate")
done
code=0
"$bin" compare --github auto --md "$out/compare.md" --output "$out/compare.json" "${gates[@]}" \
  --base "${bases[@]}" --head "${heads[@]}" || code=$?
[[ "$worst" -ne 0 ]] || worst=$code
exit "$worst"
