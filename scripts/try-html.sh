#!/usr/bin/env bash
# Opens report pages of every kind in a headless Chromium and checks what it draws and says.

set -euo pipefail

usage() {
  cat <<'END'
usage: scripts/try-html.sh [DIR]

Runs the tests of the report page and of the live page, including those in a
browser. With DIR, pictures of every page are left there, at 1280 and 400
pixels, light and dark, and a PDF.

Chromium is installed with apt-get if it is missing and apt-get is available.
Without Chromium, the script says so and skips the tests in a browser.

  -h, --help            print this help
  CARGO_TARGET_DIR      cargo's target folder, as usual
END
}

case "${1-}" in
  -h | --help)
    usage
    exit 0
    ;;
  -*)
    usage >&2
    exit 2
    ;;
esac

has_chromium() {
  command -v chromium || command -v chromium-browser || command -v google-chrome
} >/dev/null 2>&1

if ! has_chromium; then
  # Wait a few minutes at most: a mirror that hangs must not delay the checks that do not need it.
  { timeout 300 apt-get update -q && timeout 300 apt-get install -qy --no-install-recommends chromium fonts-dejavu-core; } \
    >/dev/null 2>&1 || true
fi
if has_chromium; then
  export LLMSIM_BLAST_CI_NEEDS_CHROMIUM=1
else
  echo "Chromium is missing and could not be installed: the report page is not opened in a browser" >&2
fi

if [ -n "${1-}" ]; then
  mkdir -p "$1"
  LLMSIM_BLAST_SHOTS=$(cd "$1" && pwd)
  export LLMSIM_BLAST_SHOTS
fi
cd "$(dirname "$0")/.."
exec cargo test --test page --test web
