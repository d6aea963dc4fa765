#!/usr/bin/env bash
# Packs a .deb with cargo-deb, and tests it.

set -euo pipefail

usage() {
  cat <<'END'
usage: scripts/ship/deb.sh --binary FILE [OPTIONS]

Writes DIR/llmsim-blast_VERSION-1_ARCH.deb with the binary, man pages,
completions and copyright. If FILE is static, the package depends on nothing.

  --binary FILE    the binary
  --target TRIPLE  target of the build [this machine, with its C library]
  --run FILE       a binary of this machine that generates pages and completions
                   [the binary itself]
  --out DIR        folder of the result [target/ship]
  --test           let lintian read the package, install it into a root of its
                   own, run the installed program, and remove it again
  -h, --help       print this help

Exit codes: 0 packed, 99 the test failed, 104 invalid arguments, 107 a program
is missing, or else cargo-deb's.
END
}

# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

bin='' run='' target=$(triple gnu) test=false
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
    --out)
      out=$(value "$@")
      shift
      ;;
    --test) test=true ;;
    -h | --help)
      usage
      exit 0
      ;;
    *) die 104 "unknown argument '$1': see --help" ;;
  esac
  shift
done
need_binary "$bin"
need cargo cargo-deb dpkg-deb readelf gzip
! $test || need lintian dpkg
mkdir -p "$out"
out=$(realpath -- "$out")

# Cargo.toml names this folder.
stage=$root/target/deb
rm -rf -- "$stage"
"$(dirname -- "${BASH_SOURCE[0]}")/extras.sh" --binary "${run:-$bin}" "$stage"
trap 'rm -rf -- "$stage"' EXIT
install -m 0755 -- "$bin" "$stage/llmsim-blast"
gzip -9 --no-name "$stage"/man/*.1
gzip -9 --no-name --stdout "$root/CHANGELOG.md" > "$stage/changelog.gz"
# The changelog of the package itself, which has no changes of its own.
gzip -9 --no-name > "$stage/changelog.Debian.gz" <<END
llmsim-blast ($version-1) unstable; urgency=medium

  * Release $version. Its changes are in changelog.gz.

 -- $(sed -n 's/^maintainer = "\(.*\)"$/\1/p' "$root/Cargo.toml")  $(date -uRd "@$SOURCE_DATE_EPOCH")
END
# Tags that lintian must accept. This package is in no distribution, so its first version closes no
# bug. cargo-deb writes the field Depends even if it is empty. lintian treats a static binary as a
# library without prerequisites.
{
  echo "llmsim-blast: initial-upload-closes-no-bugs *"
  if ! readelf -d "$bin" | grep -q NEEDED; then
    echo "llmsim-blast: empty-field Depends"
    echo "llmsim-blast: shared-library-lacks-prerequisites [usr/bin/llmsim-blast]"
  fi
} > "$stage/overrides"
deb=$(cd -- "$root" && cargo deb --quiet --locked --offline --no-build --no-strip --target "$target" --output "$out/")
echo "$deb"
$test || exit 0

fail() { die 99 "$@"; }
said() { echo "ok: $*"; }
found=$(lintian --no-cfg --allow-root --tag-display-limit 0 "$deb") || fail "lintian: $found"
[[ -z $found ]] || fail "lintian: $found"
said "lintian reports no problem"

# dpkg must run as root, or under fakeroot.
as_root=()
[[ $(id -u) -eq 0 ]] || { need fakeroot && as_root=(fakeroot); }
work=$(mktemp -d)
trap 'rm -rf -- "$work" "$stage"' EXIT
mkdir -p "$work/root/var/lib/dpkg/info" "$work/root/var/lib/dpkg/updates" "$work/root/var/lib/dpkg/triggers"
touch "$work/root/var/lib/dpkg/status" "$work/root/var/lib/dpkg/available"
# Libraries are not installed in that root. The binary uses those of this machine.
packages() { "${as_root[@]}" dpkg --root="$work/root" --log=/dev/null --force-depends "$@" >"$work/said" 2>&1; }
files() { find "$work/root" -not -type d -not -path '*/var/lib/dpkg/*' -printf '/%P\n' | sort; }

packages --install "$deb" || fail "dpkg cannot install it: $(cat "$work/said")"
for file in /usr/bin/llmsim-blast /usr/share/man/man1/llmsim-blast.1.gz /usr/share/man/man1/llmsim-blast-compare.1.gz \
  /usr/share/bash-completion/completions/llmsim-blast /usr/share/zsh/vendor-completions/_llmsim-blast \
  /usr/share/fish/vendor_completions.d/llmsim-blast.fish /usr/share/doc/llmsim-blast/copyright; do
  [[ -s $work/root$file ]] || fail "it does not install $file: $(files)"
done
said "it installs $(files | wc -l) files"
printed=$("$work/root/usr/bin/llmsim-blast" --version) || fail "the installed program does not run"
[[ $printed == "llmsim-blast $version"* ]] || fail "the installed program prints $printed"
said "the installed program runs: $(head -n 1 <<< "$printed")"
bash -n "$work/root/usr/share/bash-completion/completions/llmsim-blast" || fail "bash cannot read the completions"
packages --purge llmsim-blast || fail "dpkg cannot remove it: $(cat "$work/said")"
[[ -z $(files) ]] || fail "it leaves files behind: $(files)"
said "it is removed without a trace"
