#!/usr/bin/env bash
# Packs the archive of a release, under the name that scripts/action/install.sh expects.

set -euo pipefail

usage() {
  cat <<'END'
usage: scripts/ship/tarball.sh --binary FILE --target TRIPLE [OPTIONS]

Writes DIR/llmsim-blast-VERSION-TRIPLE.tar.gz with the binary, man pages,
completions, licences, README.md, CHANGELOG.md and papers, and adds its sum to
DIR/SHA256SUMS. The same input gives the same bytes.

  --binary FILE   the binary; FILE.debug is packed into an archive of its own
  --target TRIPLE target of the build
  --run FILE      a binary of this machine that generates pages and completions
                  [the binary itself]
  --papers DIR    folder that papers.sh has written [none]
  --out DIR       folder of the result [target/ship]
  -h, --help      print this help

Exit codes: 0 packed, 104 invalid arguments, 107 a program or file is missing.
END
}

# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

bin='' run='' target='' papers=''
while [[ $# -gt 0 ]]; do
  case "$1" in
    --binary)
      bin=$(value "$@")
      shift
      ;;
    --run)
      run=$(value "$@")
      shift
      ;;
    --target)
      target=$(value "$@")
      shift
      ;;
    --papers)
      papers=$(value "$@")
      shift
      ;;
    --out)
      out=$(value "$@")
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
need_binary "$bin"
need_target "$target"
need tar gzip sha256sum
mkdir -p "$out"
out=$(realpath -- "$out")

name=llmsim-blast-$version-$target
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
mkdir "$work/$name"
install -m 0755 -- "$bin" "$work/$name/llmsim-blast"
"$(dirname -- "${BASH_SOURCE[0]}")/extras.sh" --binary "${run:-$bin}" "$work/$name"
install -m 0644 -- "$root/LICENSE" "$root/README.md" "$root/CHANGELOG.md" "$work/$name/"
if [[ -n $papers ]]; then
  for file in THIRD-PARTY.txt llmsim-blast.cdx.json; do
    [[ -f $papers/$file ]] || die 107 "$papers/$file is missing: run papers.sh first"
    install -m 0644 -- "$papers/$file" "$work/$name/"
  done
fi
chmod -R u=rwX,go=rX "$work/$name"

# Packs the entry $2 of the work folder: without owners, sorted, with a fixed date.
pack() {
  tar --create --directory "$work" --sort=name --owner=0 --group=0 --numeric-owner --format=gnu \
    --mtime="@$SOURCE_DATE_EPOCH" "$2" | gzip -9 --no-name > "$out/$1"
}
files=("$name.tar.gz")
pack "$name.tar.gz" "$name"
if [[ -f $bin.debug ]]; then
  mkdir "$work/$name-debug"
  install -m 0644 -- "$bin.debug" "$work/$name-debug/llmsim-blast.debug"
  pack "$name-debug.tar.gz" "$name-debug"
  files+=("$name-debug.tar.gz")
fi

cd -- "$out"
touch SHA256SUMS
for file in "${files[@]}"; do
  grep -vF "  $file" SHA256SUMS > "$work/sums" || true
  sha256sum -- "$file" >> "$work/sums"
  sort -k 2 "$work/sums" > SHA256SUMS
  echo "$out/$file"
done
