#!/usr/bin/env bash
# Installs the programs that build a release, in the versions that were tested.

set -euo pipefail

usage() {
  cat <<'END'
usage: scripts/ship/tools.sh [NAME…]

Installs cargo-auditable, cargo-deb, cargo-about and cargo-cyclonedx from the
crate registry, and llvm-tools by rustup, or the given ones. A program that is
already installed in the right version is left alone. Each crate takes minutes
to build.

  -h, --help   print this help

Exit codes: 0 installed, 104 invalid arguments, 107 rustup is missing, or else
that of cargo or rustup.
END
}

# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

declare -A versions=(
  [cargo-auditable]=0.7.7
  [cargo-deb]=3.8.0
  [cargo-about]=0.9.3
  [cargo-cyclonedx]=0.5.9
)
# A debug build takes half as long, which is enough for programs that run for a second. cargo-about
# is built with optimisation, because it compares every file of every crate with every licence. Its
# command is not among its default features.
declare -A options=(
  [cargo-auditable]=--debug
  [cargo-deb]=--debug
  [cargo-about]=--features=cli
  [cargo-cyclonedx]=--debug
)
names=()
while [[ $# -gt 0 ]]; do
  case "$1" in
    -h | --help)
      usage
      exit 0
      ;;
    llvm-tools) names+=("$1") ;;
    *)
      [[ -n ${versions[$1]-} ]] || die 104 "unknown program '$1': see --help"
      names+=("$1")
      ;;
  esac
  shift
done
((${#names[@]} > 0)) || mapfile -t names < <(printf '%s\n' "${!versions[@]}" llvm-tools | sort)
need cargo
installed=$(cargo install --list)
for name in "${names[@]}"; do
  if [[ $name == llvm-tools ]]; then
    # train.sh needs the llvm-profdata of this compiler.
    need rustup
    rustup --quiet component add llvm-tools
    echo "llvm-tools of $(rustc --version)"
    continue
  fi
  wanted=${versions[$name]}
  grep -q "^$name v$wanted:" <<< "$installed" ||
    cargo install --quiet --locked --force --version "$wanted" "${options[$name]}" "$name"
  echo "$name $wanted"
done
