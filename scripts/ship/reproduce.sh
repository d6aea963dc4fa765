#!/usr/bin/env bash
# Builds one commit twice, in two folders, and compares the bytes.

set -euo pipefail

usage() {
  cat <<'END'
usage: scripts/ship/reproduce.sh [--first FILE] [BUILD.SH OPTIONS]

Clones the commit of this checkout into two folders with names of different
lengths, builds each with build.sh and a target folder of its own, and compares
the SHA-256 of the binaries. This takes twice as long as a build.

  --first FILE    a binary that build.sh has made of this commit before, in
                  place of the first of the two builds
  --profile FILE  what train.sh has recorded, with which both are built. Two
                  trainings give different binaries
  -h, --help      print this help

Exit codes: 0 the same bytes, 99 they differ, 104 invalid arguments, or else
that of build.sh.
END
}

# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

first='' options=()
while [[ $# -gt 0 ]]; do
  case "$1" in
    --first)
      first=$(value "$@")
      [[ -f $first ]] || die 104 "invalid value '$first' for --first: expected a file"
      shift
      ;;
    --client | --plain) options+=("$1") ;;
    --target)
      target=$(value "$@")
      options+=("$1" "$target")
      shift
      ;;
    --profile)
      profile=$(value "$@")
      [[ -f $profile ]] || die 104 "invalid value '$profile' for --profile: expected a file that train.sh has written"
      options+=("$1" "$(realpath -- "$profile")")
      shift
      ;;
    -h | --help)
      usage
      exit 0
      ;;
    *) die 104 "unknown argument '$1': see --help" ;;
  esac
  shift
done
need git sha256sum
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT

# Read once, because the checkout may change during the builds.
commit=$(git -C "$root" rev-parse HEAD)
# Builds in the folder $1 and prints the path of the binary.
build() {
  mkdir -p "$work/$1"
  git clone --quiet --no-hardlinks "$root" "$work/$1/checkout"
  git -C "$work/$1/checkout" checkout --quiet --detach "$commit"
  CARGO_TARGET_DIR=$work/$1/target "$work/$1/checkout/scripts/ship/build.sh" "${options[@]}" --out "$work/$1/out"
}
[[ -n $first ]] || first=$(build a)
second=$(build another/folder)
sha256sum -- "$first" "$second"
cmp -- "$first" "$second" || exit 99
echo "the same bytes"
