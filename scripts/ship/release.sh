#!/usr/bin/env bash
# Builds and checks all files of a release for one machine.

set -euo pipefail

usage() {
  cat <<'END'
usage: scripts/ship/release.sh [OPTIONS]

Records a profile of the load, builds the binary with it, runs it in an empty
root, and packs the archive, the debug information, the .deb, the image,
licences, bill of materials and the profile into DIR, with their sums in
DIR/SHA256SUMS. `tools.sh` installs what it needs.

Without --tag this is a trial. A release with --tag is refused until a person
has filled in what `ready.sh` names, such as the repository and the maintainer.

  --target TRIPLE  target of the build [see build.sh --help]
  --profile FILE   a record of train.sh to use. By default, a new one is made,
                   except for targets that do not run here: they have none
  --tag TAG        the tag of the release, which must be v and the version
  --out DIR        folder of the result [target/ship]
  -h, --help       print this help

Exit codes: 0 made and checked, 99 a check failed, 104 invalid arguments, 107 a
program is missing, or else that of the program that failed.
END
}

# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"
here=$root/scripts/ship

target='' tag='' profile=''
while [[ $# -gt 0 ]]; do
  case "$1" in
    --target)
      target=$(value "$@")
      shift
      ;;
    --profile)
      profile=$(value "$@")
      [[ -f $profile ]] || die 104 "invalid value '$profile' for --profile: expected a file that train.sh has written"
      shift
      ;;
    --tag)
      tag=$(value "$@")
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
[[ -z $tag || $tag == "v$version" ]] ||
  die 104 "the tag $tag does not belong to version $version of Cargo.toml: expected v$version"
if ! "$here/ready.sh" >&2; then
  [[ -z $tag ]] || die 104 "the release $tag is incomplete: fill in the values listed above, and commit them"
  echo "release.sh: this is a trial; a release with --tag needs the values listed above" >&2
fi
need cargo-auditable cargo-deb cargo-about cargo-cyclonedx
[[ -z $(git -C "$root" status --porcelain --untracked-files=no) ]] ||
  echo "release.sh: this checkout differs from its commit, and the binary says so" >&2

mkdir -p "$out"
out=$(realpath -- "$out")
export out
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
step() { printf '\n=== %s\n' "$*" >&2; }

target=${target:-$(triple gnu)}
need_target "$target"
machine=${target%%-*}
recorded=$out/llmsim-blast-$version-$target.profdata
if [[ -n $profile ]]; then
  [[ $profile -ef $recorded ]] || cp -- "$profile" "$recorded"
elif [[ $machine == "$(uname -m)" ]]; then
  step "Profile"
  "$here/train.sh" --target "$target" --out "$recorded"
else
  rm -f -- "$recorded"
  echo "release.sh: a binary for $target does not run here, so it is built without a profile" >&2
fi
step "Binary"
optimise=()
[[ ! -f $recorded ]] || optimise=(--profile "$recorded")
bin=$("$here/build.sh" --target "$target" "${optimise[@]}" --out "$work/bin")
case "$machine" in
  x86_64) arch=amd64 ;;
  aarch64) arch=arm64 ;;
  *) die 104 "there is no image for $machine: expected x86_64 or aarch64" ;;
esac
if [[ $machine == "$(uname -m)" ]]; then
  step "An empty root"
  "$here/static-check.sh" "$bin" >&2
fi
step "Licences and bill of materials"
"$here/papers.sh" --target "$target" "$work/papers"
step "Archives"
rm -f -- "$out/SHA256SUMS"
"$here/tarball.sh" --binary "$bin" --target "$target" --papers "$work/papers" --out "$out"
step "Debian package"
if command -v lintian >/dev/null && [[ $machine == "$(uname -m)" ]]; then
  "$here/deb.sh" --binary "$bin" --target "$target" --out "$out" --test
else
  "$here/deb.sh" --binary "$bin" --target "$target" --out "$out"
fi
step "Image"
"$here/image.py" --out "$out/llmsim-blast-$version-image-$arch.tar" --tag "llmsim-blast:$version" "$arch=$bin"
if command -v umoci >/dev/null && command -v runc >/dev/null && [[ $machine == "$(uname -m)" ]]; then
  "$here/image-check.sh" "$out/llmsim-blast-$version-image-$arch.tar" >&2
fi

step "Sums"
cp -- "$work/papers/llmsim-blast.cdx.json" "$out/llmsim-blast-$version-$target.cdx.json"
cd -- "$out"
find . -maxdepth 1 -type f -name "*$version*" -printf '%P\0' | sort -z | xargs -0 sha256sum -- | tee SHA256SUMS
