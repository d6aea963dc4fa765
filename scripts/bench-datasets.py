#!/usr/bin/env python3
"""Measures what prompts and data sets cost the client, and whether prompts have
the length that was asked for. Each part has a bar, and the script exits with 1
if one is missed. Prints a Markdown table. Requires Linux.

words    CPU of a plain request with `prompt = { tokens = 512 }`, compared with
         a fixed prompt of the same bytes. Bar: 1.10 times.
rows     the same from a data set of 1,000,000 rows. Bar: 1.05 times.
reading  a file of 2 GB of chats that fits into memory: MB/s until the first
         request, and memory beyond the rows. Bar: 150 MB/s, 50 MB.
spool    the same file with --dataset-memory 100MiB, one pass of all rows.
         Bar: 150 MB/s of reading, 200 MB of memory, no row late or lost.
trace    12,000 rows at 20 times their speed. Bar: a lag of 1 ms (p99).
billed   10,000 prompts of 1 to 4,000 tokens on the embedded simulator. Bar:
         all are billed as asked. Needs a binary with the simulator.

usage: scripts/bench-datasets.py [--bin FILE] [--folder DIR] [--rounds N]
       [--gigabytes N] [PART...]

Ratios are medians over rounds of neighbouring runs. CPU is that of two runs of
N and 3 N requests, subtracted, so that reading and starting cancel out.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PARTS = ["words", "rows", "reading", "spool", "trace", "billed"]
REQUESTS = 60_000
WORDS = "able about above across action after again against age ago air all".split()

PLAIN = """
executor = "shared-iterations"
vus = {vus}
iterations = {iterations}
max_duration = "20m"

[[requests]]
name = "plain"
api = "openai-chat"
model = "m"
path = "/plain"
check_usage = false
{prompt}
"""


def plain(iterations, prompt):
    return PLAIN.format(vus=min(64, iterations), iterations=iterations, prompt=prompt)


def count(result, counter):
    return result["metrics"][counter]["count"]


class Bench:
    def __init__(self, binary, folder, url):
        self.binary, self.folder, self.url = binary, folder, url

    def run(self, profile, *more, url=None):
        """One run: result, CPU seconds, peak memory in bytes, wall seconds, what it said."""
        path, output, said = self.folder / "my.toml", self.folder / "r.json", self.folder / "said.txt"
        path.write_text(profile)
        output.unlink(missing_ok=True)
        command = [self.binary, str(path), "--no-probe", "--workers", "1", "--output", str(output), *more]
        command += ["--target-url", url or self.url] if url != "" else []
        began = time.monotonic()
        with said.open("w") as place:
            child = subprocess.Popen(command, stdout=place, stderr=subprocess.STDOUT)
            _, status, used = os.wait4(child.pid, 0)
        took = time.monotonic() - began
        if not output.exists():
            sys.exit(f"a run wrote no result (status {status}): {said.read_text()[-2000:]}")
        result = json.loads(output.read_text())
        return result, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, took, said.read_text()

    def cpu(self, prompt, *more):
        """CPU of a request in microseconds."""
        few, many = (self.run(plain(n, prompt), *more)[1] for n in (REQUESTS, 3 * REQUESTS))
        return (many - few) / (2 * REQUESTS) * 1e6

    def compare(self, one, other, rounds):
        pairs = [(self.cpu(one), self.cpu(other)) for _ in range(rounds)]
        ratio = statistics.median(a / b for a, b in pairs)
        return ratio, statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)


def text(size, seed):
    """About so many bytes of words, each time others."""
    words = [WORDS[(seed * 7 + i * (seed % 5 + 1)) % len(WORDS)] for i in range(size // 5)]
    return f"{seed} " + " ".join(words)


def ratio_line(name, bench, one, other, bar, rounds):
    ratio, a, b = bench.compare(one, other, rounds)
    return name, f"{ratio:.3f} × ({a:.2f} µs, fixed {b:.2f} µs)", f"≤ {bar:.2f} ×", ratio <= bar


def words(bench, options):
    probe = bench.run(plain(1000, "prompt = { tokens = 512 }"))[0]
    empty = bench.run(plain(1000, 'prompt = ["x"]'))[0]
    size = 1 + round((count(probe, "data_sent") - count(empty, "data_sent")) / 1000)
    fixed = f'prompt = ["{"x" * size}"]'
    return [ratio_line("512 words", bench, "prompt = { tokens = 512 }", fixed, 1.10, options.rounds)]


def rows(bench, options):
    path = bench.folder / "rows.jsonl"
    with path.open("w") as out:
        for row in range(1_000_000):
            out.write('{"prompt":"row %07d %s"}\n' % (row, "x" * 200))
    fixed = f'prompt = ["row 0000000 {"x" * 200}"]'
    line = ratio_line("1,000,000 rows", bench, f'dataset = {{ file = "{path}" }}', fixed, 1.05, options.rounds)
    path.unlink()
    return [line]


def chats(bench, options):
    path = bench.folder / "chats.jsonl"
    if not path.exists():
        filler = [text(1_800, seed) for seed in range(500)]
        left, row = options.gigabytes * 1e9, 0
        with path.open("w") as out:
            while left > 0:
                line = (
                    '{"messages":[{"role":"user","content":"%d %s"},{"role":"assistant","content":"%s"},'
                    '{"role":"user","content":"And then?"}]}\n' % (row, filler[row % 500], filler[(row * 3 + 1) % 500])
                )
                out.write(line)
                left, row = left - len(line), row + 1
        path.with_suffix(".rows").write_text(str(row))
    return path, path.stat().st_size, int(path.with_suffix(".rows").read_text())


def reading(bench, options):
    path, size, _ = chats(bench, options)
    profile = plain(1, f'dataset = {{ file = "{path}" }}')
    _, _, peak, took, _ = bench.run(profile, "--dataset-memory", "8GiB")
    speed, beyond = size / took / 1e6, (peak - size) / 1e6
    return [
        ("reading 2 GB", f"{speed:.0f} MB/s", "≥ 150 MB/s", speed >= 150),
        ("its memory", f"{peak / 1e6:.0f} MB, {beyond:.0f} MB beyond the file", "≤ 50 MB beyond", beyond <= 50),
    ]


def spool(bench, options):
    path, size, all_rows = chats(bench, options)
    once = f'dataset = {{ file = "{path}", order = "once" }}'
    one = plain(1, f'dataset = {{ file = "{path}" }}')
    _, _, _, took, _ = bench.run(one, "--dataset-memory", "100MiB")
    result, _, peak, whole, _ = bench.run(plain(all_rows, once), "--dataset-memory", "100MiB")
    sent = count(result, "http_reqs")
    late = result["metrics"].get("rows_late", {"count": 0})["count"]
    speed = size / took / 1e6
    return [
        ("spooling 2 GB", f"{speed:.0f} MB/s", "≥ 150 MB/s", speed >= 150),
        ("its memory, all rows sent", f"{peak / 1e6:.0f} MB", "≤ 200 MB", peak <= 200e6),
        ("rows sent", f"{sent} of {all_rows}, {late} late, {sent / (whole - took):.0f}/s", "all", sent == all_rows and late == 0),
    ]


def trace(bench, options):
    path = bench.folder / "trace.jsonl"
    with path.open("w") as out:
        for row in range(12_000):
            out.write(
                '{"timestamp":%d,"input_length":%d,"output_length":5,"hash_ids":[%d,%d]}\n'
                % (row * 295, 600 + row % 300, row % 50, row)
            )
    profile = (
        f'executor = "trace"\nmax_vus = 200\ntrace = {{ file = "{path}", speed = 20.0 }}\n[[requests]]\n'
        'name = "t"\napi = "openai-chat"\nmodel = "m"\npath = "/plain"\ncheck_usage = false\n'
    )
    result = bench.run(profile)[0]
    lag, sent = result["metrics"]["schedule_lag"]["p99"], count(result, "http_reqs")
    return [("trace at 20 ×: lag p99", f"{lag} ms, {sent} rows", "≤ 1 ms", lag <= 1 and sent == 12_000)]


def billed(bench, options):
    profile = (
        'executor = "shared-iterations"\nvus = 16\niterations = 10000\nmax_duration = "20m"\n[[requests]]\nname = "b"\n'
        'api = "openai-chat"\nmax_tokens = 1\nprompt = { tokens = { uniform = { min = 1, max = 4000 } } }\n'
    )
    # The template is learned only where probing is allowed.
    path, output = bench.folder / "billed.toml", bench.folder / "billed.json"
    path.write_text(profile)
    command = [bench.binary, str(path), "--output", str(output), "--quiet"]
    said = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if not output.exists():
        return [("asked = billed", f"no result: {said.stdout[-300:]}", "all of 10,000", False)]
    result = json.loads(output.read_text())
    off = result["metrics"]["input_off"]
    asked = result["metrics"]["asked_input_tokens"]["count"]
    return [("asked = billed", f"{asked - off['matches']} of {asked}", "all of 10,000", asked == 10_000 and off["matches"] == 0)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=str(ROOT / "target/release/llmsim-blast"))
    parser.add_argument("--folder", help="where the files are written [default: a temporary folder]")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--gigabytes", type=float, default=2)
    parser.add_argument("parts", nargs="*", metavar="PART", help="all, unless named: " + ", ".join(PARTS))
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"no part is named {sorted(unknown)[0]}: expected one of {', '.join(PARTS)}")
    origin = subprocess.Popen(
        [options.bin, "origin", "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    missed = False
    try:
        url = next(word for line in origin.stdout for word in line.split() if word.startswith("http://"))
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            bench = Bench(options.bin, Path(name), url)
            print("| Part | Measured | Bar | |\n|---|---|---|---|")
            for part in options.parts or PARTS:
                for title, value, bar, holds in globals()[part](bench, options):
                    print(f"| {title} | {value} | {bar} | {'held' if holds else 'MISSED'} |", flush=True)
                    missed |= not holds
    finally:
        origin.terminate()
    if missed:
        sys.exit("a bar is missed")


if __name__ == "__main__":
    main()
