#!/usr/bin/env bash
# Downloads a release of llmsim-blast, checks its SHA-256, and prints the path of the binary.

set -euo pipefail

usage() {
  cat <<'END'
usage: install.sh --releases URL --version V [--sha256 SUM] [--dir DIR]

Downloads URL/vV/llmsim-blast-V-MACHINE-unknown-linux-gnu.tar.gz, checks it,
unpacks it below DIR, and prints the path of the binary on standard output. If
DIR already has a binary of that version, it is used again.

  --releases URL    folder of the releases, such as
                    https://github.com/OWNER/llmsim-blast/releases/download
  --version V       version to install, such as 0.1.0
  --sha256 SUM      SHA-256 of the archive. Without it, the SUM in the release's
                    file SHA256SUMS is used, which detects damage, not forgery
  --dir DIR         folder to install to
                    [${XDG_CACHE_HOME:-~/.cache}/llmsim-blast]
  -h, --help        print this help

Exit codes: 0 installed, 104 invalid arguments, 107 download failed, or the
SHA-256 differs.
END
}

die() {
  local code=$1
  shift
  echo "install.sh: $*" >&2
  exit "$code"
}

releases='' version='' sha256='' dir=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/llmsim-blast
while [[ $# -gt 0 ]]; do
  case "$1" in
    --releases | --version | --sha256 | --dir)
      [[ $# -ge 2 ]] || die 104 "$1 needs a value: see --help"
      case "$1" in
        --releases) releases=${2%/} ;;
        --version) version=${2#v} ;;
        --sha256) sha256=${2,,} ;;
        --dir) dir=$2 ;;
      esac
      shift 2
      ;;
    -h | --help)
      usage
      exit 0
      ;;
    *) die 104 "unknown argument '$1': see --help" ;;
  esac
done
[[ -n "$releases" ]] || die 104 "--releases is missing: expected the URL of the folder of the releases"
# The version becomes part of a path and of a URL.
[[ "$version" =~ ^[0-9]+\.[0-9]+\.[0-9]+[0-9A-Za-z.-]*$ ]] ||
  die 104 "invalid value '$version' for --version: expected a version such as 0.1.0"
[[ -z "$sha256" || "$sha256" =~ ^[0-9a-f]{64}$ ]] ||
  die 104 "invalid value '$sha256' for --sha256: expected 64 hexadecimal digits"
[[ "$(uname -s)" == Linux ]] || die 104 "llmsim-blast runs on Linux only, and this is $(uname -s)"

name=llmsim-blast-$version-$(uname -m)-unknown-linux-gnu
bin=$dir/$name/llmsim-blast
# If a checksum was given, only an archive that was installed with this checksum is reused.
mark=$dir/$name/sha256
if [[ -x "$bin" && -f "$mark" && (-z "$sha256" || "$(<"$mark")" == "$sha256") ]]; then
  echo "$bin"
  exit 0
fi

mkdir -p "$dir"
work=$(mktemp -d "$dir/.install.XXXXXX")
trap 'rm -rf -- "$work"' EXIT
get() {
  curl --fail --silent --show-error --location --retry 3 --max-time 300 --output "$2" "$1" ||
    die 107 "$1 could not be downloaded"
}
get "$releases/v$version/$name.tar.gz" "$work/archive"
if [[ -z "$sha256" ]]; then
  get "$releases/v$version/SHA256SUMS" "$work/sums"
  sha256=$(awk -v name="$name.tar.gz" '{ sub(/^\*/, "", $2) } $2 == name { print tolower($1); exit }' "$work/sums")
  [[ "$sha256" =~ ^[0-9a-f]{64}$ ]] || die 107 "SHA256SUMS of version $version does not name $name.tar.gz"
fi
found=$(sha256sum "$work/archive" | cut -d ' ' -f 1)
[[ "$found" == "$sha256" ]] ||
  die 107 "$name.tar.gz has the SHA-256 $found, expected $sha256: nothing was installed"

mkdir "$work/unpacked"
tar -xzf "$work/archive" -C "$work/unpacked" --no-same-owner || die 107 "$name.tar.gz could not be unpacked"
# The archive may hold its files in a folder with its own name, or at the top level.
for at in "$work/unpacked/$name" "$work/unpacked"; do
  [[ ! -f "$at/llmsim-blast" ]] || break
done
[[ -f "$at/llmsim-blast" ]] || die 107 "$name.tar.gz does not contain llmsim-blast"
chmod +x "$at/llmsim-blast"
echo "$sha256" > "$at/sha256"
rm -rf -- "${dir:?}/$name"
mv "$at" "$dir/$name"
echo "$bin"
