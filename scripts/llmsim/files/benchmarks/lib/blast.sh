#!/usr/bin/env bash
# Finds llmsim-blast, the load tester. Sourced by the scripts beside this folder.

# Ends the script with a message about a wrong argument.
die() {
  echo "$(basename -- "$0"): $*" >&2
  exit 104
}

# Prints the path of the binary: one that is named, one on PATH, one that is built from sources, or
# the pinned release.
find_blast() {
  local here bin
  here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
  if [[ -n "${LLMSIM_BLAST_BIN-}" ]]; then
    [[ -f "$LLMSIM_BLAST_BIN" && -x "$LLMSIM_BLAST_BIN" ]] ||
      die "LLMSIM_BLAST_BIN=$LLMSIM_BLAST_BIN is not an executable file"
    bin=$LLMSIM_BLAST_BIN
    # `exec` would search PATH for a bare name.
    [[ "$bin" == */* ]] || bin=./$bin
    echo "$bin"
  elif [[ -n "${LLMSIM_BLAST_SRC-}" ]]; then
    [[ -f "$LLMSIM_BLAST_SRC/Cargo.toml" ]] || die "LLMSIM_BLAST_SRC=$LLMSIM_BLAST_SRC has no Cargo.toml"
    (cd -- "$LLMSIM_BLAST_SRC" && cargo build --release --locked --quiet) >&2 || exit 107
    # cargo resolves a relative target folder from the folder that it runs in.
    (cd -- "$LLMSIM_BLAST_SRC" && cd -- "${CARGO_TARGET_DIR:-target}/release" && echo "$PWD/llmsim-blast")
  elif command -v llmsim-blast; then
    :
  else
    # shellcheck source=/dev/null
    local releases='' version='' sha256='' && source "$here/release"
    [[ -n "$releases" ]] || die "llmsim-blast is missing: put it on PATH, or set LLMSIM_BLAST_BIN or LLMSIM_BLAST_SRC"
    "$here/install.sh" --releases "$releases" --version "$version" ${sha256:+--sha256 "$sha256"}
  fi
}
