#!/usr/bin/env bash
# Checks that independent tools read the same numbers from every output format.

set -euo pipefail

usage() {
  cat <<'END'
usage: scripts/check-formats.sh [--keep DIR]

Runs short tests against the embedded simulator, writes every output format, and
reads each with an independent tool:

  check-jsonschema   results of a test, merge, compare, noise, capacity and
                     throughput, with the schemas in src/document/schema; the
                     workflows, with GitHub's schema
  hdrhistogram       the histograms of a result and the log of `report --hgrm`:
                     counts and percentiles must agree
  junitparser        --junit of a test and of a comparison
  csv (Python's)     `report --csv`
  xmllint            --junit again, if xmllint is installed

The Python tools are installed from PyPI into a temporary folder. This takes
about a minute.

  --keep DIR         keep the files in DIR
  -h, --help         print this help
  LLMSIM_BLAST_BIN   binary to use instead of building one

Exit code: 0 if all tools agree, 1 otherwise.
END
}

die() {
  echo "check-formats.sh: $*" >&2
  exit 1
}

keep=
while (($#)); do
  case $1 in
    -h | --help)
      usage
      exit 0
      ;;
    --keep)
      keep=${2-}
      [[ -n $keep ]] || die "--keep requires a folder"
      shift
      ;;
    *) die "unknown option $1; see --help" ;;
  esac
  shift
done

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
out=$work/out
if [[ -n $keep ]]; then
  mkdir -p -- "$keep"
  out=$(cd -- "$keep" && pwd)
fi
mkdir -p -- "$out"

blast=${LLMSIM_BLAST_BIN-}
if [[ -z $blast ]]; then
  blast=${CARGO_TARGET_DIR:-$root/target}/release/llmsim-blast
  [[ -x $blast ]] || cargo build --release --locked --manifest-path "$root/Cargo.toml" >&2 || die "llmsim-blast could not be built"
fi
[[ -x $blast ]] || die "$blast is not an executable file"

python3 -m venv "$work/venv" || die "python3 with the venv module is required"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check check-jsonschema hdrhistogram junitparser ||
  die "the tools could not be installed from PyPI"

# ---- write ---------------------------------------------------------------------------------------

# A failed threshold or gate (99) is a valid result here: only the formats matter.
run() {
  local code=0
  "$blast" "$@" >>"$out/log.txt" 2>&1 || code=$?
  case $code in
    0 | 99) ;;
    *) die "llmsim-blast $* exited with $code: $(tail -n 3 "$out/log.txt")" ;;
  esac
}

cd -- "$out"
echo "writing …" >&2
for n in 1 2 3 4 5 6; do
  run load --duration 3s --vus 6 --quiet --output "run-$n.json" --junit run.xml
done
run compare --base run-1.json run-2.json run-3.json --head run-4.json run-5.json run-6.json --fail-on 'ttft.p50>5%' \
  --fail-on 'throughput<-5%' --output compare.json --junit compare.xml --md compare.md
run noise run-1.json run-2.json run-3.json --output noise.json
run capacity load --by vus --duration 1s --warmup 0s --max 2 --quiet --output capacity.json
run throughput --duration 300ms --warmup 0s --concurrency 2 --quiet --output throughput.json
"$blast" report run-1.json --csv >run.csv
"$blast" report run-1.json --hgrm >run.hgrm
"$blast" report run-1.json --compat vllm >run.vllm.json

# Shards do not start a server.
"$blast" origin --port 0 >origin.txt 2>&1 &
origin=$!
trap 'kill "$origin" 2>/dev/null || true; rm -rf -- "$work"' EXIT
for _ in $(seq 50); do
  url=$(grep -o 'http://[0-9.:]*' origin.txt | head -n 1 || true)
  [[ -z $url ]] || break
  sleep 0.1
done
[[ -n $url ]] || die "the origin did not print its address"
at=$(date --utc --date '3 seconds' +%FT%TZ)
for shard in 0 1; do
  run load --start-at "$at" --target-url "$url" --no-server --duration 2s --vus 4 --quiet --shard "$shard/2" --output "shard-$shard.json" &
  shards[shard]=$!
done
for shard in "${shards[@]}"; do
  wait "$shard" || die "a shard failed"
done
run merge shard-0.json shard-1.json --output merged.json

# ---- read ----------------------------------------------------------------------------------------

bin=$work/venv/bin
schemas=$root/src/document/schema
"$bin/check-jsonschema" --schemafile "$schemas/run-1.schema.json" run-?.json shard-?.json merged.json
for kind in compare noise capacity throughput; do
  "$bin/check-jsonschema" --schemafile "$schemas/$kind-1.schema.json" "$kind.json"
done
"$bin/check-jsonschema" --builtin-schema vendor.github-workflows "$root"/scripts/ci/*.yml "$root"/.github/workflows/*.yml
if command -v xmllint >/dev/null; then
  xmllint --noout run.xml compare.xml
  echo "ok -- xmllint: run.xml, compare.xml"
fi

"$bin/python" - <<'END'
import csv, json, math
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
from junitparser import JUnitXml

run = json.load(open("run-1.json"))

def same(what, ours, theirs, within=0.001):
    assert abs(ours - theirs) <= within * max(abs(ours), abs(theirs)) + 0.001, f"{what}: llmsim-blast has {ours}, the tool reads {theirs}"

# Nearest rank, as in the Java library. The Python library rounds the rank and is off by one for few
# samples.
def at_percentile(histogram, percentile):
    count = histogram.get_total_count()
    rank = math.ceil(count * percentile / 100)
    return histogram.get_value_at_percentile(100 * rank / count) / 1000

trends = {n: m for n, m in run["metrics"].items() if m["type"] == "trend"}
for name, trend in trends.items():
    histogram = HdrHistogram.decode(trend["histogram"])
    same(f"{name}.count", trend["count"], histogram.get_total_count(), 0)
    for key, percentile in [("p50", 50), ("p95", 95), ("p99", 99), ("p99_9", 99.9)]:
        same(f"{name}.{key}", trend[key], at_percentile(histogram, percentile), 0.002)
print(f"ok -- hdrhistogram: {len(trends)} histograms of run-1.json")

# The seconds of the log must add up to the whole run.
for name in ("ttft", "tbt", "http_req_duration"):
    whole = HdrHistogram(1, 3_600_000_000, 3)
    reader = HistogramLogReader("run.hgrm", whole)
    intervals = 0
    while (interval := reader.get_next_interval_histogram()) is not None:
        if interval.get_tag() == name:
            whole.add(interval)
            intervals += 1
    same(f"hgrm {name}.count", trends[name]["count"], whole.get_total_count(), 0)
    same(f"hgrm {name}.p99", trends[name]["p99"], at_percentile(whole, 99), 0.002)
    assert intervals > 1, f"{name}: {intervals} intervals"
print("ok -- hdrhistogram: the interval log run.hgrm")

thresholds = sum(len(suite) for suite in JUnitXml.fromfile("run.xml"))
assert thresholds == len(run["thresholds"]), thresholds
gates = sum(len(suite) for suite in JUnitXml.fromfile("compare.xml"))
assert gates == 2, gates
print(f"ok -- junitparser: {thresholds} thresholds, {gates} gates")

rows = list(csv.DictReader(open("run.csv", newline="")))
assert len(rows) == len(run["series"]), len(rows)
assert all(None not in row and None not in row.values() for row in rows), "a row differs in length from the header"
assert sum(int(row["http_reqs"]) for row in rows) == sum(second["http_reqs"] for second in run["series"])
print(f"ok -- csv: {len(rows)} seconds of {len(rows[0])} columns")

flat = json.load(open("run.vllm.json"))
same("mean_itl_ms", trends["tbt"]["avg"], flat["mean_itl_ms"], 0)
print(f"ok -- json: {len(flat)} fields as in vLLM's script")
END
echo "all formats passed" >&2
