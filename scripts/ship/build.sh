#!/usr/bin/env bash
# Builds the binary of a release: static, and stripped.

set -euo pipefail

usage() {
  cat <<'END'
usage: scripts/ship/build.sh [OPTIONS]

Builds with the profile `dist` and prints the path of a static binary, which
needs no file of the system. Its debug information is beside it, in
llmsim-blast.debug. Folders and dates of this machine are kept out of both.

  --target TRIPLE  MACHINE-unknown-linux-gnu or -musl, whose comparison of bytes
                   is slow [this machine's, with gnu]
  --client         build the client alone, without the simulator
  --plain          without the list of dependencies, which needs cargo-auditable
  --profile FILE   optimise for the load that train.sh has recorded in FILE
                   (PGO). The same file gives the same bytes. --client and
                   --plain must be those of train.sh
  --instrument     build the binary that train.sh needs. It counts how often its
                   code runs, and is slow
  --out DIR        folder of the result [target/ship]
  -h, --help       print this help

cargo's own folder is CARGO_TARGET_DIR, as usual. Variables that would change
the code, such as RUSTFLAGS, are ignored.

Exit codes: 0 built, 104 invalid arguments, 107 a program is missing, or else
cargo's.
END
}

# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

target='' auditable=true features=() profile='' instrument=false
while [[ $# -gt 0 ]]; do
  case "$1" in
    --target)
      target=$(value "$@")
      shift
      ;;
    --out)
      out=$(value "$@")
      shift
      ;;
    --profile)
      profile=$(value "$@")
      [[ -f $profile ]] || die 104 "invalid value '$profile' for --profile: expected a file that train.sh has written"
      profile=$(realpath -- "$profile")
      shift
      ;;
    --instrument) instrument=true ;;
    --client) features=(--no-default-features) ;;
    --plain) auditable=false ;;
    -h | --help)
      usage
      exit 0
      ;;
    *) die 104 "unknown argument '$1': see --help" ;;
  esac
  shift
done
[[ -z $profile ]] || ! $instrument || die 104 "--profile and --instrument exclude each other"
need cargo rustc cc objcopy strip
sysroot=$(rustc --print sysroot)
[[ -n $target ]] || target=$(triple gnu)
need_target "$target"
[[ -d $sysroot/lib/rustlib/$target ]] ||
  die 107 "Rust's library for $target is not installed: run rustup target add $target"

# Use a C compiler for musl if there is one, because ring is partly written in C.
machine=${target%%-*}
if [[ $target == *-musl && -z ${CC-} ]]; then
  for compiler in "$machine-linux-musl-gcc" musl-gcc "$machine-linux-gnu-gcc"; do
    # musl-gcc compiles for the machine that it runs on.
    [[ $compiler != musl-gcc || $machine == "$(uname -m)" ]] || continue
    if command -v "$compiler" >/dev/null; then
      export CC_"${target//-/_}"="$compiler"
      break
    fi
  done
fi

build=$(realpath -m -- "${CARGO_TARGET_DIR:-$root/target}")
home=$(realpath -m -- "${CARGO_HOME:-$HOME/.cargo}")
# Panic messages and debug information contain file names. Folders of this machine must not appear
# in them.
flags=()
for pair in "$root=/llmsim-blast" "$build=/target" "$home=/cargo" "$sysroot=/rust"; do
  flags+=("--remap-path-prefix=$pair")
  c_flags="${c_flags-} -ffile-prefix-map=$pair"
done
# musl is linked statically by default, glibc only with this option.
flags+=(-C target-feature=+crt-static)
# Debian's compiler adds a build ID, a hash of the linked file with its debug information. Other
# compilers do not.
if [[ $machine == "$(uname -m)" ]]; then
  flags+=(-C "link-arg=-Wl,--build-id=none")
else
  # rustc ships a linker for every machine.
  flags+=(-C linker=rust-lld)
fi
[[ -z $profile ]] || flags+=("-Cprofile-use=$profile")
! $instrument || flags+=(-Cprofile-generate)
encoded=$(IFS=$'\x1f' && printf '%s' "${flags[*]}")

command=(build)
! $auditable || { need cargo-auditable && command=(auditable build); }
(
  cd -- "$root"
  unset RUSTFLAGS CARGO_BUILD_RUSTFLAGS CARGO_INCREMENTAL
  CARGO_ENCODED_RUSTFLAGS=$encoded CFLAGS=${c_flags# } CARGO_TARGET_DIR=$build \
    cargo "${command[@]}" --locked --profile dist --target "$target" --bin llmsim-blast "${features[@]}"
) >&2

tool=''
[[ $machine == "$(uname -m)" ]] || ! command -v "$machine-linux-gnu-strip" >/dev/null || tool=$machine-linux-gnu-
mkdir -p "$out"
bin=$out/llmsim-blast
cp -- "$build/$target/dist/llmsim-blast" "$bin.built"
"${tool}objcopy" --only-keep-debug --compress-debug-sections=zlib "$bin.built" "$bin.debug"
"${tool}strip" --strip-all --remove-section=.comment -o "$bin" "$bin.built"
# A debugger finds the debug file by its name and its checksum.
(cd -- "$out" && "${tool}objcopy" --add-gnu-debuglink=llmsim-blast.debug llmsim-blast)
rm -- "$bin.built"
chmod 0755 "$bin"
chmod 0644 "$bin.debug"
echo "$bin: $(stat -c %s "$bin") bytes, SHA-256 $(sha256sum "$bin" | cut -d ' ' -f 1)" >&2
echo "$bin"
