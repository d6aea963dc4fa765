#!/usr/bin/env bash
# Runs every fuzz target for a while.

set -euo pipefail

usage() {
  cat <<'END'
usage: scripts/fuzz.sh [--seconds N] [TARGET…]

Runs each target of fuzz/, or the given ones, for N seconds. Interesting inputs
are kept in fuzz/corpus/TARGET, and inputs that fail a check in
fuzz/artifacts/TARGET. The script needs cargo-fuzz and a nightly compiler.

  --seconds N  seconds of each target [60]
  -h, --help   print this help

Exit codes: 0 nothing was found, 99 an input fails a check, 104 invalid
arguments, 107 a program is missing.
END
}

die() {
  echo "fuzz.sh: ${*:2}" >&2
  exit "$1"
}

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
cd -- "$root"
mapfile -t all < <(cd fuzz/fuzz_targets && printf '%s\n' *.rs | sed 's/\.rs$//')
seconds=60 targets=()
while [[ $# -gt 0 ]]; do
  case "$1" in
    --seconds)
      [[ ${2-} =~ ^[1-9][0-9]{0,5}$ ]] || die 104 "invalid value '${2-}' for --seconds: expected a number from 1 to 999999"
      seconds=$2
      shift
      ;;
    -h | --help)
      usage
      exit 0
      ;;
    *)
      [[ " ${all[*]} " == *" $1 "* ]] || die 104 "unknown target '$1': expected one of ${all[*]}"
      targets+=("$1")
      ;;
  esac
  shift
done
((${#targets[@]} > 0)) || targets=("${all[@]}")
cargo +nightly --version >/dev/null 2>&1 || die 107 "a nightly compiler is required: rustup toolchain install nightly"
cargo +nightly fuzz --version >/dev/null 2>&1 || die 107 "cargo-fuzz is required: cargo install --locked cargo-fuzz"

cargo +nightly fuzz build || die 107 "the targets do not compile"
failed=()
for target in "${targets[@]}"; do
  echo "=== $target"
  mkdir -p "fuzz/corpus/$target"
  # Run every target, so that one night shows all failures.
  cargo +nightly fuzz run "$target" "fuzz/corpus/$target" src/wire/fixtures -- \
    -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 || failed+=("$target")
done
((${#failed[@]} == 0)) || die 99 "inputs of ${failed[*]} fail a check: see fuzz/artifacts"
echo "fuzz.sh: ${#targets[@]} targets, ${seconds} s each: nothing was found"
