#!/usr/bin/env bash
# Shows the faults of llmsim's k6 suite in a checkout that still has it.

set -euo pipefail

usage() {
  cat <<'END'
usage: scripts/llmsim/k6-faults.sh DIR

Looks for eight faults of the k6 suite in the llmsim checkout DIR, and prints
for each whether it is there, and the evidence. k6 itself is not needed: a
script named k6 stands in for it and prints its arguments. Nothing is sent.

Exit codes: 0 every fault is there, 1 some are not, 104 DIR has no k6 suite.
END
}

case "${1-}" in
  -h | --help)
    usage
    exit 0
    ;;
esac
dir=${1-}
[[ $# -eq 1 && -f "$dir/benchmarks/k6/config.js" ]] || {
  echo "k6-faults.sh: expected a checkout of llmsim with benchmarks/k6: see --help" >&2
  exit 104
}
dir=$(cd -- "$dir" && pwd)
fake=$(mktemp -d)
trap 'rm -rf -- "$fake"' EXIT
# shellcheck disable=SC2016 # The variables are the script's.
printf '#!/bin/sh\necho "k6 $*"\nexit "${FAKE_CODE:-0}"\n' > "$fake/k6"
chmod +x "$fake/k6"

# Runs the runner of llmsim with the stand-in for k6. The runner starts no server.
runner() {
  PATH=$fake:$PATH bash "$dir/benchmarks/run-benchmark.sh" "$@" --no-server 2>&1 || true
}

missing=0
fault() {
  local number=$1 text=$2 there=$3 evidence=$4
  if [[ "$there" == true ]]; then
    printf '%s. there: %s\n   %s\n' "$number" "$text" "$evidence"
  else
    printf '%s. not there: %s\n' "$number" "$text"
    missing=1
  fi
}
holds() {
  if "$@"; then echo true; else echo false; fi
}

keys=$(awk '/^ *load: *\{/ { on = 1 } on && /http_req_duration:/ { n++ } on && /^    \},/ { exit }
  END { print n + 0 }' "$dir/benchmarks/k6/config.js")
fault 1 "the profile load never checks its p95" "$(holds [ "$keys" -gt 1 ])" \
  "http_req_duration is $keys times a key of one object: JavaScript keeps the last"

said=$(K6_TARGET_URL=http://HOST runner load | grep '^k6 ' || true)
fault 2 "a remote target is ignored" "$(holds [ "${said/HOST/}" == "$said" ])" \
  "with K6_TARGET_URL=http://HOST it runs: ${said%% --env PROFILE*}"

scripts=$(for profile in quick-smoke smoke load stress spike soak high-concurrency; do runner "$profile"; done |
  grep -o '[a-z-]*\.js$' | sort -u | tr '\n' ' ')
paths=$(grep -cE 'responses|anthropic|images|typesafe|ws://' "$dir/benchmarks/k6/endpoints.js" || true)
fault 3 "no profile requests every endpoint" \
  "$(holds [ "${scripts/endpoints.js/}$paths" == "${scripts}0" ])" \
  "all profiles together run only: $scripts; endpoints.js names $paths of the other APIs"

throws=$(cat "$dir"/benchmarks/k6/*.js | grep -cE 'throw: *true' || true)
adds=$(awk '/catch/ { on = 1 } /(connection|timeout)Errors\.add/ && !on { n++ } /^    \}$/ { on = 0 }
  END { print n + 0 }' "$dir/benchmarks/k6/high-concurrency.js")
fault 4 "the limits on connections and timeouts cannot fail" "$(holds [ "$throws$adds" == 00 ])" \
  "both are counted only where k6 throws, and it throws only if told to, which happens $throws times"

fault 5 "the time to first token is that of the response's head" \
  "$(holds grep -q 'timings\.waiting' "$dir/benchmarks/k6/chat-completions.js")" \
  "it is taken from timings.waiting, which ends with the first byte"

said=$(runner load --output f.json | grep -o -- '--out json=f.json' || true)
fault 6 "--output writes a result that cannot be compared" "$(holds [ -n "$said" ])" \
  "k6 is run with $said, which writes a line for each sample"

runs=$(cat "$dir"/.github/workflows/*.yml | grep -c 'benchmarks/' || true)
fault 7 "CI runs no load test" "$(holds [ "$runs" -eq 0 ])" "the workflows name benchmarks/ $runs times"

said=$(FAKE_CODE=99 runner load | sed -n '/^k6 /,$p' | tail -n +2)
fault 8 "a missed threshold is not reported" "$(holds [ -z "$said" ])" \
  "when k6 ends with 99, the runner ends at once and prints nothing"
exit "$missing"
