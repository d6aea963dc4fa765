#!/usr/bin/env bash
# Counts the instructions of a piece of work. The count does not depend on the machine's load.

set -euo pipefail

usage() {
  cat <<'EOF'
usage: scripts/count-instructions.sh [WORK…]

Runs benches/instructions.rs under callgrind twice for each piece of work, with
N and with 3N repetitions. The difference per item is printed, so start and
warm-up cancel out. Without names, all pieces are measured (about a minute).

  -h, --help   print this help

Names: gap, record-plain, record-stream, add, plain, burst, stream, stream-wire.
KEEP=FILE keeps the last profile for `callgrind_annotate FILE`.
EOF
}

case ${1-} in
  -h | --help)
    usage
    exit 0
    ;;
esac

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
command -v valgrind >/dev/null || {
  echo "count-instructions.sh: valgrind is required: apt-get install valgrind" >&2
  exit 1
}
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT

cd -- "$root"
if ! cargo bench --locked --no-default-features --bench instructions --no-run 2>"$work/build"; then
  cat "$work/build" >&2
  exit 1
fi
program=$(sed -n 's/^ *Executable .*(\(.*\))$/\1/p' "$work/build")
[[ -x $program ]] || {
  echo "count-instructions.sh: cargo did not print the path of the bench" >&2
  exit 1
}

# Prints the instructions of $2 repetitions of the work $1.
instructions() {
  valgrind --tool=callgrind --callgrind-out-file="${KEEP:-$work/callgrind}" "$program" "$1" "$2" >"$work/out" 2>&1 || {
    cat "$work/out" >&2
    exit 1
  }
  sed -n 's/^.*Collected : \([0-9]*\).*/\1/p' "$work/out"
}

"$program" >"$work/list"
for name in "$@"; do
  cut -f 1 "$work/list" | grep -qxF -- "$name" || {
    echo "count-instructions.sh: unknown work '$name': expected one of $(cut -f 1 "$work/list" | paste -sd ' ')" >&2
    exit 2
  }
done

echo "| Work | Instructions per item | Item |"
echo "|---|---:|---|"
while IFS=$'\t' read -r name items item; do
  if (($#)) && [[ " $* " != *" $name "* ]]; then
    continue
  fi
  # Single items are cheap. Whole streams and whole seconds are not.
  repetitions=$((items > 1 ? 20 : 2000))
  [[ $name != add ]] || repetitions=20
  few=$(instructions "$name" "$repetitions")
  many=$(instructions "$name" "$((3 * repetitions))")
  echo "| $name | $(((many - few) / (2 * repetitions * items))) | $item |"
done <"$work/list"
