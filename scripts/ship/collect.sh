#!/usr/bin/env bash
# Combines the files that release.sh has built on several machines into one release.

set -euo pipefail

usage() {
  cat <<'END'
usage: scripts/ship/collect.sh BUILT DIR

BUILT has a folder for each machine, as release.sh has left it. The sums of the
folders are checked, and their files are copied into DIR. There, one image for
all machines replaces those of single machines, and DIR/SHA256SUMS has all sums.

  -h, --help   print this help

Exit codes: 0 collected, 99 a sum differs, 104 invalid arguments, 107 a file is
missing.
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
[[ $# -eq 2 && -d $1 ]] || die 104 "expected a folder of what was built, and a folder of the result: see --help"
built=$(realpath -- "$1")
mkdir -p "$2"
to=$(realpath -- "$2")
[[ -z $(ls -A -- "$to") ]] || die 104 "$to is not empty"
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT

images=()
for folder in "$built"/*/; do
  [[ -f $folder/SHA256SUMS ]] || die 107 "$folder has no SHA256SUMS"
  (cd -- "$folder" && sha256sum --check --quiet --strict SHA256SUMS) || die 99 "a file of $folder is damaged"
  while read -r _ file; do
    case "$file" in
      *-image-*.tar) ;;
      *) cp -n -- "$folder/$file" "$to/" ;;
    esac
    [[ $file =~ ^llmsim-blast-$version-((x86_64|aarch64)-unknown-linux-[a-z]+)\.tar\.gz$ ]] || continue
    tar -xzf "$folder/$file" -C "$work" "${file%.tar.gz}/llmsim-blast"
    case "${BASH_REMATCH[2]}" in
      x86_64) images+=("amd64=$work/${file%.tar.gz}/llmsim-blast") ;;
      aarch64) images+=("arm64=$work/${file%.tar.gz}/llmsim-blast") ;;
    esac
  done < "$folder/SHA256SUMS"
done
((${#images[@]} > 0)) || die 107 "$built has no archive of version $version"
"$root/scripts/ship/image.py" --out "$to/llmsim-blast-$version-image.tar" --tag "llmsim-blast:$version" "${images[@]}"
cd -- "$to"
find . -maxdepth 1 -type f -not -name SHA256SUMS -printf '%P\0' | sort -z | xargs -0 sha256sum -- | tee SHA256SUMS
