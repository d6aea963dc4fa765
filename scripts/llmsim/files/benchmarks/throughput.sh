#!/usr/bin/env bash
# Measures the peak request rate by number of worker threads. See run-benchmark.sh --help.
set -euo pipefail
exec "$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)/run-benchmark.sh" throughput "$@"
