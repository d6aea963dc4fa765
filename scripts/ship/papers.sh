#!/usr/bin/env bash
# Writes the documents of a release: the licences of all crates, and a bill of materials.

set -euo pipefail

usage() {
  cat <<'END'
usage: scripts/ship/papers.sh [--client] [--target TRIPLE] DIR

Writes DIR/THIRD-PARTY.txt with the licences of the crates that are compiled in
(cargo-about), and DIR/llmsim-blast.cdx.json, a bill of materials in the form of
CycloneDX (cargo-cyclonedx). Only the crates themselves are downloaded.

  --client         of the client alone, without the simulator
  --target TRIPLE  target of the build [this machine, with gnu]
  -h, --help       print this help

Exit codes: 0 written, 104 invalid arguments, 107 a program is missing, or else
that of the program that failed.
END
}

# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

to='' target=$(triple gnu) features=()
while [[ $# -gt 0 ]]; do
  case "$1" in
    --client) features=(--no-default-features) ;;
    --target)
      target=$(value "$@")
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
[[ -n $to ]] || die 104 "the folder is missing: see --help"
need cargo python3 cargo-about cargo-cyclonedx
mkdir -p "$to"
to=$(realpath -- "$to")
cd -- "$root"

# The graph of all platforms needs crates that a build for one of them does not download.
cargo fetch --quiet --locked
cargo about generate --locked --offline --fail "${features[@]}" --config scripts/ship/about.toml \
  --output-file "$to/THIRD-PARTY.txt" scripts/ship/about.hbs

# cargo-cyclonedx always writes next to Cargo.toml.
trap 'rm -f -- "$root/llmsim-blast.cdx.json"' EXIT
cargo cyclonedx --quiet --format json --spec-version 1.5 --target "$target" --override-filename llmsim-blast.cdx \
  "${features[@]}"
# Remove the parts that differ between builds: the time, a random number, and this folder.
python3 - llmsim-blast.cdx.json "$to/llmsim-blast.cdx.json" <<'END'
import json, os, sys
from datetime import datetime, timezone
source, to = sys.argv[1:]
bill = json.loads(open(source).read().replace("file://" + os.getcwd(), "file:///llmsim-blast"))
bill.pop("serialNumber", None)
epoch = int(os.environ["SOURCE_DATE_EPOCH"])
bill["metadata"]["timestamp"] = datetime.fromtimestamp(epoch, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
with open(to, "w") as file:
    json.dump(bill, file, indent=1)
    file.write("\n")
END
ls -l "$to/THIRD-PARTY.txt" "$to/llmsim-blast.cdx.json" >&2
