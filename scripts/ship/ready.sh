#!/usr/bin/env bash
# Names what a person must fill in before a release.

set -euo pipefail

usage() {
  cat <<'END'
usage: scripts/ship/ready.sh [--root DIR]

Looks for placeholders that only a person can replace, and prints each with the
file and what is expected there: the repository and the maintainer in
Cargo.toml, the owner's name in the documentation, and the version's section in
CHANGELOG.md. `release.sh --tag` refuses to build before all are filled in.

  --root DIR   the checkout to look at [this one]
  -h, --help   print this help

Exit codes: 0 nothing is missing, 104 something is missing, or invalid
arguments.
END
}

# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

while [[ $# -gt 0 ]]; do
  case "$1" in
    --root)
      root=$(value "$@")
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
[[ -f $root/Cargo.toml && -f $root/CHANGELOG.md ]] ||
  die 104 "invalid value '$root' for --root: expected a checkout with Cargo.toml and CHANGELOG.md"

# Prints the text of a key of Cargo.toml: field TABLE KEY.
field() {
  awk -v table="[$1]" -v key="$2" '
    /^\[/ { inside = $0 == table }
    inside && $1 == key && $2 == "=" { sub(/^[^"]*"/, ""); sub(/"[^"]*$/, ""); print; exit }' "$root/Cargo.toml"
}
missing=0
lacks() {
  missing=$((missing + 1))
  echo "ready.sh: $*" >&2
}

version=$(field package version)
repository=$(field package repository)
[[ $repository =~ ^https://[^/]+/.+ && $repository != *OWNER* ]] ||
  lacks "Cargo.toml: [package] repository is '$repository': expected the URL of the repository, such as" \
    "https://github.com/OWNER/llmsim-blast"
maintainer=$(field package.metadata.deb maintainer)
[[ $maintainer =~ ^[^\<]+\ \<[^@]+@[^@]+\>$ && $maintainer != *.invalid\> ]] ||
  lacks "Cargo.toml: [package.metadata.deb] maintainer is '$maintainer': expected a name and an address that" \
    "receives mail, such as 'Jo Doe <jo@HOST>'"
while IFS=: read -r file line _; do
  lacks "${file#"$root/"}:$line: names no repository: expected its owner in place of OWNER, or its URL"
done < <(grep -rnE --include='*.md' 'OWNER/llmsim-blast|<this repository>' "$root/README.md" "$root/docs" || true)
grep -qE "^## \[?${version//./\\.}([] ]|\$)" "$root/CHANGELOG.md" ||
  lacks "CHANGELOG.md: has no section for $version: rename 'Unreleased' to '$version', and add the date"
((missing == 0)) || exit 104
echo "nothing is missing"
