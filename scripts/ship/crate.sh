#!/usr/bin/env bash
# Packs the crate, and installs the command from the packed crate.

set -euo pipefail

usage() {
  cat <<'END'
usage: scripts/ship/crate.sh [CARGO INSTALL OPTIONS]

Packs the crate as for a registry, unpacks it in another folder, runs
`cargo install` there into a folder that is removed again, and runs the
installed program: its version, a profile, and quick-smoke with a report page,
whose script and style are files of the crate. Load goes to loopback only.

  -h, --help   print this help

Options are those of `cargo install`, such as --no-default-features or --debug.
CARGO_TARGET_DIR is cargo's own folder, as usual.

Exit codes: 0 the installed program works, 99 it does not, or else cargo's.
END
}

# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

case "${1-}" in
  -h | --help)
    usage
    exit 0
    ;;
esac
need cargo tar
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
build=$(realpath -m -- "${CARGO_TARGET_DIR:-$root/target}")
(cd -- "$root" && cargo package --quiet --locked --no-verify --allow-dirty --target-dir "$work/packed")
file=$work/packed/package/llmsim-blast-$version.crate
echo "${file##*/}: $(stat -c %s "$file") bytes, $(tar -tzf "$file" | wc -l) files"
tar -xzf "$file" -C "$work"
cargo install --quiet --locked --root "$work/installed" --target-dir "$build" --path "$work/llmsim-blast-$version" "$@"

fail() { die 99 "$@"; }
bin=$work/installed/bin/llmsim-blast
[[ $("$bin" --version) == "llmsim-blast $version"* ]] || fail "the installed program does not print its version"
"$bin" profiles load | grep -q '^executor' || fail "the profile load is missing"
code=0
"$bin" quick-smoke --quiet --html "$work/page.html" >"$work/said" 2>&1 || code=$?
if grep -q 'built without the embedded simulator' "$work/said"; then
  echo "the installed program works; it is the client alone"
  exit 0
fi
[[ $code -eq 0 ]] || { cat "$work/said" >&2 && fail "quick-smoke ends with $code"; }
[[ $(stat -c %s "$work/page.html") -gt 60000 ]] || fail "the report page has no charts"
echo "the installed program works, simulator and report page included"
