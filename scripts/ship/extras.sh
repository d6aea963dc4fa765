#!/usr/bin/env bash
# Writes the files that a package contains besides the binary: man pages and completions.

set -euo pipefail

usage() {
  cat <<'END'
usage: scripts/ship/extras.sh --binary FILE DIR

Writes DIR/man/*.1 and DIR/completions, as FILE generates them, under the names
that the shells look for.

  -h, --help   print this help

Exit codes: 0 written, 104 invalid arguments, 107 FILE generates nothing.
END
}

# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

bin='' to=''
while [[ $# -gt 0 ]]; do
  case "$1" in
    --binary)
      bin=$(value "$@")
      shift
      ;;
    -h | --help)
      usage
      exit 0
      ;;
    -*) die 104 "unknown argument '$1': see --help" ;;
    *) to=$1 ;;
  esac
  shift
done
need_binary "$bin"
[[ -n $to ]] || die 104 "the folder is missing: see --help"
[[ $bin == */* ]] || bin=./$bin

mkdir -p "$to/man" "$to/completions"
generate() {
  "$bin" generate "${@:2}" > "$to/$1" || die 107 "$bin generate ${*:2} failed"
  [[ -s $to/$1 ]] || die 107 "$bin generate ${*:2} printed nothing"
}
generate man/llmsim-blast.1 man
# The main page names the pages of the commands.
pages=$(sed 's/\\//g' "$to/man/llmsim-blast.1" | grep -o 'llmsim-blast-[a-z-]*(1)' | sort -u) ||
  die 107 "the man page does not name a command"
while IFS= read -r page; do
  command=${page#llmsim-blast-}
  command=${command%(1)}
  # clap lists its own `help`, which has no page.
  [[ $command == help ]] || generate "man/llmsim-blast-$command.1" man "$command"
done <<< "$pages"
generate completions/llmsim-blast.bash bash
generate completions/_llmsim-blast zsh
generate completions/llmsim-blast.fish fish
generate completions/_llmsim-blast.ps1 powershell
generate completions/llmsim-blast.elv elvish
