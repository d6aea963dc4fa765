#!/usr/bin/env python3
"""Measures how the load grows with the number of worker threads, and how many
streams the client can hold at once.

Several servers (`llmsim-blast origin`) listen on one port of different loopback
addresses, each on a core of its own. The workers have the other cores. Prints a
Markdown section. A machine with 16 cores shows 1 to 8 workers, one with two
cores a single worker.

  plain   64 users for each worker, small JSON responses: requests per second
  stream  streams out of step with 50 events a second each: the most events at
          which TTFT differs from the servers' own record by at most 1 ms (mean
          and p99), and at which no worker uses more than 90 % of its core
  hold    as many streams as --streams says, at once: how many were lost, and
          the memory of each. It needs as many open files and, for each 25,000
          streams, a source address of loopback, which it uses by itself

usage: scripts/bench-scaling.py [--bin FILE] [--rounds N] [--seconds S]
       [--only LIST] [--streams N] [--server-cores LIST] [--client-cores LIST]
"""

import argparse
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STEPS = ["plain", "stream", "hold"]
USERS_PER_WORKER = 64
# Streams of one worker in each step, and the events per second of each.
STREAMS_PER_WORKER = [250, 500, 1000, 1500, 2000, 2500, 3000]
EVENTS_PER_S = 50
TTFT_ERROR_MS = 1.0
BUSY = 0.90
# A held stream sends a token each second for so many seconds.
HELD_TOKENS = 30
# Ephemeral ports from one address to another, less some that are in use.
PORTS_PER_SOURCE = 25_000
# Descriptors that are no streams.
OTHER_FILES = 100

PROFILE = """
executor = "{executor}"
vus = {vus}
{length}
graceful_stop = "60s"
timeout = "120s"

[[requests]]
name = "bench"
api = "openai-chat"
stream = {stream}
model = "gpt-4o"
prompt = "Say hello."
path = "{path}"

[thresholds]
http_req_failed = ["rate==0"]
"""


def cores(text):
    found = [int(core) for core in text.split(",")]
    if len(set(found)) != len(found):
        raise ValueError(text)
    return found


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    available = sorted(os.sched_getaffinity(0))
    half = len(available) // 2
    parser.add_argument("--bin", type=Path, default=ROOT / "target/release/llmsim-blast")
    parser.add_argument("--rounds", type=int, default=3, choices=range(1, 21), metavar="1..20")
    parser.add_argument("--seconds", type=int, default=5, choices=range(2, 61), metavar="2..60")
    parser.add_argument("--only", default=",".join(STEPS), help=f"list of {','.join(STEPS)} [all]")
    parser.add_argument("--streams", type=int, default=100_000, help="streams to hold [100000, or what files allow]")
    parser.add_argument("--server-cores", type=cores, default=available[:half], help="[the first half]")
    parser.add_argument("--client-cores", type=cores, default=available[half : 2 * half], help="[the second half]")
    args = parser.parse_args()
    args.only = args.only.split(",")
    unknown = [step for step in args.only if step not in STEPS]
    if unknown:
        parser.error(f"invalid value '{unknown[0]}' for --only: expected a list of {','.join(STEPS)}")
    if not 100 <= args.streams <= 1_000_000:
        parser.error(f"invalid value '{args.streams}' for --streams: expected an integer from 100 to 1000000")
    if not os.access(args.bin, os.X_OK):
        parser.error(f"{args.bin} is not an executable file: cargo build --release")
    used = args.server_cores + args.client_cores
    if not args.server_cores or not args.client_cores or len(set(used)) != len(used) or not set(used) <= set(available):
        parser.error(f"servers and client need different cores of {available}: see --server-cores and --client-cores")
    return args


def workers_of(args):
    """1, 2, 4, … up to the number of the client's cores."""
    count, most = 1, len(args.client_cores)
    while count < most:
        yield count
        count *= 2
    yield most


class Bench:
    """The servers, a folder for files, and a way to run a client against them."""

    def __init__(self, args):
        self.args = args
        self.folder = tempfile.TemporaryDirectory()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.servers, self.urls = [], []
        for number, core in enumerate(args.server_cores, 1):
            host = f"127.0.0.{number}"
            self.urls.append(f"http://{host}:{port}")
            self.servers.append(self.pinned([core], [args.bin, "origin", "--host", host, "--port", port]))
        for url in self.urls:
            for _ in range(100):
                try:
                    self.ask(url, "health")
                    break
                except OSError:
                    time.sleep(0.05)
            else:
                self.close()
                sys.exit(f"bench-scaling.py: the origin at {url} did not start")

    def close(self):
        for server in self.servers:
            server.kill()
            server.wait()
        self.folder.cleanup()

    @staticmethod
    def ask(url, path):
        with urllib.request.urlopen(f"{url}/{path}", timeout=10) as response:
            return json.load(response)

    @staticmethod
    def pinned(on, command, **more):
        # The environment may hold settings for other tests.
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("LLMSIM_BLAST_", "K6_"))}
        on = ",".join(map(str, on))
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen(["taskset", "-c", on, *map(str, command)], env=clean, **quiet | more)

    def run(self, workers, more=(), **shape):
        """Runs the client and returns its result, the records of the servers, and its peak memory in bytes."""
        profile, output = (Path(self.folder.name) / name for name in ("bench.toml", "bench.json"))
        profile.write_text(PROFILE.format(**shape))
        command = [self.args.bin, profile, "--no-server", "--no-probe", "--quiet"]
        command += ["--workers", workers, "--output", output]
        for url in self.urls:
            command += ["--target-url", url]
            self.ask(url, "reset")
        # A file, because a full pipe would stop the client.
        said = tempfile.TemporaryFile()
        client = self.pinned(self.args.client_cores[:workers], [*command, *more], stderr=said)
        peak = 0
        while client.poll() is None:
            try:
                lines = Path(f"/proc/{client.pid}/status").read_text().splitlines()
                peak = max([peak] + [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")])
            except (OSError, ValueError):
                pass  # It has ended.
            time.sleep(0.1)
        if client.returncode not in (0, 99):
            said.seek(0)
            why = said.read().decode(errors="replace").strip()
            sys.exit(f"bench-scaling.py: llmsim-blast exited with {client.returncode}: {why}")
        return json.loads(output.read_text()), [self.ask(url, "record") for url in self.urls], peak


def signal(document, name):
    return next((s["value"] for s in document["client"]["signals"] if s["name"] == name), None)


def busiest(records):
    """The largest share of a core that a server has used."""
    return max(record["cpu_us"] / 1e6 / record["seconds"] for record in records)


def failures(document):
    return document["metrics"]["http_req_failed"]["matches"]


def plain(bench):
    args = bench.args
    print("### Plain requests\n")
    print("| Workers | requests/s | × one worker | busiest worker | busiest server | failed |")
    print("|---:|---:|---:|---:|---:|---:|")
    rounds = {workers: [] for workers in workers_of(args)}
    for _ in range(args.rounds):
        for workers, results in rounds.items():
            shape = dict(executor="constant-vus", length=f'duration = "{args.seconds}s"', stream="false", path="/plain")
            document, records, _ = bench.run(workers, vus=workers * USERS_PER_WORKER, **shape)
            rate = document["metrics"]["http_reqs"]["rate"]
            results.append((rate, signal(document, "worker_cpu"), busiest(records), failures(document)))
    one = statistics.median(rate for rate, *_ in rounds[1])
    for workers, results in rounds.items():
        rate, worker, server, failed = (statistics.median(column) for column in zip(*results))
        print(f"| {workers} | {rate:,.0f} | {rate / one:.2f} | {worker:.0%} | {server:.0%} | {failed:.0f} |", flush=True)
    print("\nIf a server is busier than the workers, the servers are the limit.\n")


def ttft_errors(document, records):
    """Reported minus recorded TTFT in ms: mean, and p99. The servers have equal loads, so their p99s are averaged."""
    reported, recorded = document["metrics"]["ttft"], [record["ttft_us"] for record in records]
    count = sum(one["count"] for one in recorded)
    mean = sum(one["mean"] * one["count"] for one in recorded) / count / 1000
    p99 = statistics.mean(one["p99"] for one in recorded) / 1000
    return reported["avg"] - mean, reported["p99"] - p99


def stream(bench):
    args = bench.args
    print("### Streams out of step\n")
    print("| Workers | streams | events/s | TTFT: reported − recorded, mean and p99 "
          "| busiest worker | busiest server | failed | |")
    print("|---:|---:|---:|---:|---:|---:|---:|---|")
    for workers in workers_of(args):
        for per_worker in STREAMS_PER_WORKER:
            vus = workers * per_worker
            path = f"/stream?ttft=50ms&gap={1000 // EVENTS_PER_S}ms&tokens=100&spread=true"
            length = f'duration = "{args.seconds}s"'
            shape = dict(executor="constant-vus", vus=vus, length=length, stream="true", path=path)
            document, records, _ = bench.run(workers, **shape)
            events = sum(record["events"] for record in records) / max(record["seconds"] for record in records)
            mean, p99 = ttft_errors(document, records)
            worker, server = signal(document, "worker_cpu"), busiest(records)
            over = []
            if max(abs(mean), abs(p99)) > TTFT_ERROR_MS:
                over.append("TTFT")
            if worker > BUSY:
                over.append("workers")
            if server > BUSY:
                over.append("servers")
            end = f"limit: {', '.join(over)}" if over else ""
            print(f"| {workers} | {vus:,} | {events:,.0f} | {mean:+.2f} ms, {p99:+.2f} ms "
                  f"| {worker:.0%} | {server:.0%} | {failures(document)} | {end} |", flush=True)
            if over:
                break
    print()


def hold(bench):
    args = bench.args
    # Servers and client raise their own limits to this one.
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    streams = min(args.streams, most_files - OTHER_FILES)
    workers = len(args.client_cores)
    sources = [f"127.0.1.{n + 1}" for n in range(-(-streams // PORTS_PER_SOURCE))]
    path = f"/stream?ttft=10s&gap=1s&tokens={HELD_TOKENS}&spread=true"

    def held(vus):
        length = 'iterations = 1\nmax_duration = "150s"'
        shape = dict(executor="per-vu-iterations", vus=vus, length=length, stream="true", path=path)
        return bench.run(workers, ["--source-ip", ",".join(sources)], **shape)

    few = streams // 100
    base = held(few)[2]
    document, records, peak = held(streams)
    metrics = document["metrics"]
    tokens = metrics["token_events"]["count"]
    print("### Streams held at once\n")
    print("| Workers | streams | connections at once | failed | tokens of those sent | memory a stream | limit of files |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    print(f"| {workers} | {streams:,} | {metrics['connections']['max']:,} | {failures(document)} "
          f"| {tokens:,} of {sum(record['events'] for record in records):,} "
          f"| {(peak - base) / (streams - few):,.0f} bytes | {most_files:,} |\n", flush=True)
    if streams < args.streams:
        print(f"{args.streams:,} streams need a higher limit of open files (`ulimit -Hn`).\n")


def main():
    args = arguments()
    bench = Bench(args)
    models = [line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    print(f"- Date: {time.strftime('%Y-%m-%d', time.gmtime())}")
    print(f"- Machine: {models[0] if models else 'unknown'}, {os.cpu_count()} cores, {os.uname().sysname} {os.uname().release}")
    print(f"- Servers on cores {args.server_cores}, client on cores {args.client_cores}")
    print(f"- {subprocess.run([args.bin, '--version'], capture_output=True, text=True, check=True).stdout.strip()}")
    print(f"- Medians of {args.rounds} rounds (plain requests), one run of {args.seconds} s a step (streams)\n", flush=True)
    try:
        for step in args.only:
            globals()[step](bench)
    finally:
        bench.close()


if __name__ == "__main__":
    main()
