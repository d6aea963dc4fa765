#!/usr/bin/env python3
"""Measures what the client itself costs and whether its numbers stay true when it
is stopped.

These figures are in neither scripts/bench-peers.sh nor `self-test`. Prints a
Markdown table: how far the numbers move when the client is stopped, memory with
many idle connections, the cost of the live display, the cost of `--requests`
and of `--web` with browsers, and the time from the start of the program to its
first request. Requires Linux, Python 3 and, for the display, script(1) of
util-linux. Uses valgrind for the costs, and three browsers if chromium is
installed. Takes about four minutes. The server (`llmsim-blast origin`) has one
core and the client another.

usage: scripts/bench-client.py [--bin FILE] [--rounds N] [--only LIST]
       [--server-core N] [--client-core N]
"""

import argparse
import json
import os
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STEPS = ["stalled", "memory", "display", "watched", "start"]
BROWSERS = 3
# Requests per second that every thread keeps up with on two cores.
PACE = 50_000

PROFILE = """
executor = "constant-vus"
vus = {vus}
duration = "{seconds}s"
graceful_stop = "5s"

[[requests]]
name = "bench"
api = "openai-chat"
stream = {stream}
model = "gpt-4o"
prompt = "Say hello."
path = "{path}"
think_time = "{think_time}"
"""


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--bin", type=Path, default=ROOT / "target/release/llmsim-blast")
    parser.add_argument("--rounds", type=int, default=3, choices=range(1, 21), metavar="1..20")
    parser.add_argument("--only", default=",".join(STEPS), help=f"list of {','.join(STEPS)} [all]")
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--client-core", type=int, default=1)
    args = parser.parse_args()
    args.only = args.only.split(",")
    unknown = [step for step in args.only if step not in STEPS]
    if unknown:
        parser.error(f"invalid value '{unknown[0]}' for --only: expected a list of {','.join(STEPS)}")
    if not os.access(args.bin, os.X_OK):
        parser.error(f"{args.bin} is not an executable file: cargo build --release")
    if not {args.server_core, args.client_core} <= os.sched_getaffinity(0) or args.server_core == args.client_core:
        parser.error("server and client must use different cores: see --server-core and --client-core")
    return args


def free_port():
    """A port of loopback on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Bench:
    """A server, a folder for files, and a way to run a client against it."""

    def __init__(self, args):
        self.args = args
        self.folder = tempfile.TemporaryDirectory()
        self.port = free_port()
        self.server = self.pinned(args.server_core, [args.bin, "origin", "--port", str(self.port)])
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        sys.exit("bench-client.py: the origin did not start")

    def close(self):
        self.server.kill()
        self.server.wait()
        self.folder.cleanup()

    @staticmethod
    def environment():
        # The environment may hold settings for other tests.
        return {k: v for k, v in os.environ.items() if not k.startswith(("LLMSIM_BLAST_", "K6_"))}

    def pinned(self, core, command, **more):
        more.setdefault("stdout", subprocess.DEVNULL)
        more.setdefault("stderr", subprocess.DEVNULL)
        return subprocess.Popen(["taskset", "-c", str(core), *map(str, command)], env=self.environment(), **more)

    def command(self, name, port=None, quiet=True, **shape):
        profile = Path(self.folder.name) / f"{name}.toml"
        shape = {"stream": "false", "think_time": "0s"} | shape
        text = PROFILE.format(**shape)
        if shape["think_time"] == "0s":
            text = text.replace('think_time = "0s"\n', "")
        else:
            # Think time is a key of the profile, not of a request.
            line = f'think_time = "{shape["think_time"]}"\n'
            text = line + text.replace(line, "")
        profile.write_text(text)
        self.output = Path(self.folder.name) / f"{name}.json"
        url = f"http://127.0.0.1:{port or self.port}"
        command = [self.args.bin, profile, "--target-url", url, "--no-server", "--workers", "1", "--output", self.output]
        return command + (["--quiet"] if quiet else [])

    def document(self):
        return json.loads(self.output.read_text())

    def run(self, name, meanwhile=None, more=(), **shape):
        client = self.pinned(self.args.client_core, [*self.command(name, **shape), *more])
        if meanwhile:
            meanwhile(client)
        if client.wait() not in (0, 99, 111):
            sys.exit(f"bench-client.py: {name} exited with {client.returncode}")
        return self.document()


def middle(values):
    return statistics.median(values)


def stop_now_and_then(client):
    """Stops the client for 20 ms of every 200."""
    while client.poll() is None:
        time.sleep(0.18)
        client.send_signal(signal.SIGSTOP)
        time.sleep(0.02)
        client.send_signal(signal.SIGCONT)


def stalled(bench):
    moved, censored, named = {"ttft": [], "tbt": []}, [], []
    shape = dict(vus=1000, seconds=6, stream="true", path="/stream?ttft=50ms&gap=10ms&tokens=100&spread=true")
    for _ in range(bench.args.rounds):
        calm = bench.run("calm", **shape)["metrics"]
        document = bench.run("stopped", stop_now_and_then, **shape)
        stopped = document["metrics"]
        for trend, values in moved.items():
            values.append(stopped[trend]["p99"] - calm[trend]["p99"])
        censored.append(stopped["tbt_censored"]["count"] / (stopped["tbt"]["count"] + stopped["tbt_censored"]["count"]))
        named.append([s["name"] for s in document["client"]["signals"] if s["verdict"] != "ok"])
    always = sorted(set.intersection(*map(set, named)))
    yield ("client stopped for 20 ms of every 200: TTFT p99 moves by", f"{middle(moved['ttft']):+.2f} ms", "≤ 1 ms")
    yield ("… gap p99 moves by", f"{middle(moved['tbt']):+.2f} ms", "≤ 1 ms")
    yield ("… gaps excluded because several tokens arrived in one late read", f"{middle(censored):.1%}", "")
    yield ("… signals that report it in every round", ", ".join(always) or "none", "some")


def memory(bench):
    want = 10_000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < want + 100:
        yield ("10,000 connections", f"not measured: ulimit -Hn is {hard}", "")
        return
    peaks = []

    def watch(client):
        status = Path(f"/proc/{client.pid}/status")
        peak = 0
        while client.poll() is None:
            try:
                lines = status.read_text().splitlines()
            except OSError:
                break
            peak = max([peak] + [int(line.split()[1]) for line in lines if line.startswith("VmHWM")])
            time.sleep(0.2)
        peaks.append(peak / 1000)

    document = bench.run("memory", watch, vus=want, seconds=10, path="/plain", think_time="6s")
    held = document["metrics"]["connections"]["max"]
    failed = document["metrics"]["http_req_failed"]["matches"]
    yield (f"{held:,.0f} connections, one worker: peak memory", f"{peaks[0]:.1f} MB", "≤ 40 MB")
    yield ("… failed requests", f"{failed}", "0")


def display(bench):
    if not shutil.which("script"):
        yield ("live display", "not measured: script(1) is missing (apt-get install bsdutils)", "")
        return
    shares = []
    for _ in range(max(bench.args.rounds, 5)):
        shape = dict(vus=64, seconds=4, path="/plain")
        off = bench.run("off", **shape)["metrics"]["http_reqs"]["rate"]
        command = " ".join(map(str, bench.command("on", quiet=False, **shape)))
        bench.pinned(bench.args.client_core, ["script", "-qec", command, "/dev/null"], stdin=subprocess.DEVNULL).wait()
        shares.append(1 - bench.document()["metrics"]["http_reqs"]["rate"] / off)
    yield ("throughput lost to the live display", f"{middle(shares):+.2%}", "≤ 1 %")
    yield ("… lowest and highest of the rounds", f"{min(shares):+.2%} to {max(shares):+.2%}", "")


def open_pages(bench, page, browser):
    """Opens the page in browsers, or reads what they would read, and reads /metrics each second."""

    def meanwhile(client):
        for _ in range(100):
            try:
                urllib.request.urlopen(f"{page}/healthz", timeout=1).close()
                break
            except OSError:
                time.sleep(0.02)
        looking = []
        for number in range(BROWSERS):
            folder = Path(bench.folder.name) / f"browser-{number}"
            flags = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"]
            flags.append(f"--user-data-dir={folder}")
            # The browsers take only the CPU that the server leaves, as if they ran on another
            # machine.
            command = ["chrt", "--idle", "0", browser, *flags, f"{page}/"] if browser else ["curl", "-sN", f"{page}/events"]
            looking.append(bench.pinned(bench.args.server_core, command, start_new_session=True))
        while client.poll() is None:
            try:
                urllib.request.urlopen(f"{page}/metrics", timeout=1).read()
            except OSError:
                pass
            time.sleep(1)
        for one in looking:
            os.killpg(one.pid, signal.SIGKILL)
            one.wait()

    return meanwhile


def instructions(bench, requests, more, meanwhile):
    """User-space instructions of the worker in a run of so many plain requests."""
    out = Path(bench.folder.name) / "callgrind.out"
    for old in out.parent.glob(f"{out.name}*"):
        old.unlink()
    command = bench.command("counted", vus=8, seconds=1, path="/plain")
    profile = Path(command[1])
    text = profile.read_text().replace("constant-vus", "shared-iterations")
    profile.write_text(text.replace('duration = "1s"', f"iterations = {requests}"))
    tool = ["valgrind", "--tool=callgrind", "--separate-threads=yes", f"--callgrind-out-file={out}"]
    client = bench.pinned(bench.args.client_core, [*tool, *command, "--no-probe", *more])
    meanwhile(client)
    if client.wait() != 0:
        sys.exit(f"bench-client.py: a run under callgrind exited with {client.returncode}")
    threads = map(Path.read_text, out.parent.glob(f"{out.name}-*"))
    threads = [text for text in threads if "engine::worker::sending" in text]
    if len(threads) != 1:
        sys.exit(f"bench-client.py: expected one worker among the threads, found {len(threads)}")
    return int(re.search(r"^(?:summary|totals): (\d+)", threads[0], re.MULTILINE)[1])


def watched(bench):
    """What looking at a run and writing it down costs its worker, and whether TTFT stays true."""
    page = f"127.0.0.1:{free_port()}"
    lines, web = ["--requests", Path(bench.folder.name) / "requests.jsonl"], ["--web", page]
    url, chromium = f"http://{page}", shutil.which("chromium")
    browsers = f"{BROWSERS} browsers" if chromium else f"{BROWSERS} readers of its events (chromium is missing)"

    def cost(more=(), meanwhile=lambda client: None):
        few, many = 4_000, 12_000
        # Start and end cancel out.
        counts = [instructions(bench, requests, more, meanwhile) for requests in (few, many)]
        return (counts[1] - counts[0]) / (many - few)

    if shutil.which("valgrind"):
        alone = cost()
        yield ("a worker's instructions for a plain request, user space", f"{alone:,.0f}", "")
        yield ("… with `--requests FILE`", f"{cost(lines) / alone:.3f} ×", "≤ 1.03 × of its CPU")
        looked_at = cost(web, open_pages(bench, url, chromium)) / alone
        yield (f"… with `--web`, {browsers} and a scrape each second", f"{looked_at:.3f} ×", "≤ 1.05 ×")
    else:
        yield ("a worker's instructions for a plain request", "not measured: valgrind is missing", "")

    ratios = []
    for _ in range(bench.args.rounds):
        without = cpu_of_worker(bench, [])
        ratios.append(cpu_of_worker(bench, lines) / without)
    what = f"CPU of the worker with `--requests` at {PACE:,} requests/s, whose writer has another core"
    yield (what, f"{middle(ratios):.3f} ×", "≤ 1.03 ×")

    def error(name, **more):
        ask = f"http://127.0.0.1:{bench.port}/"
        urllib.request.urlopen(ask + "reset").close()
        shape = dict(vus=20, seconds=5, stream="true", path="/stream?ttft=50ms&gap=20ms&tokens=10")
        reported = bench.run(name, **shape, **more)["metrics"]["ttft"]
        recorded = json.load(urllib.request.urlopen(ask + "record"))["ttft_us"]
        return [reported[name] - recorded[name] / 1000 for name in ("p50", "p99")]

    calm, seen = [], []
    for _ in range(bench.args.rounds):
        calm.append(error("calm"))
        seen.append(error("seen", meanwhile=open_pages(bench, url, chromium), more=web))
    for name, errors in (("nobody looking", calm), (f"`--web` and {browsers}", seen)):
        p50, p99 = (middle(values) for values in zip(*errors))
        yield (f"TTFT reported minus recorded, {name}: p50, p99", f"{p50:+.3f} ms, {p99:+.3f} ms", "≤ 1 ms")


def cpu_of_worker(bench, more):
    """CPU seconds of the worker at a rate that all threads keep up with. It has the client's core, and
    the other threads have the server's."""
    command = bench.command("paced", vus=200, seconds=4, path="/plain")
    profile = Path(command[1])
    paced = f'executor = "constant-arrival-rate"\nrate = {PACE}\nmax_vus = 200'
    profile.write_text(profile.read_text().replace('executor = "constant-vus"\nvus = 200', paced))
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    client = subprocess.Popen([*map(str, command), "--no-pin", "--no-probe", *map(str, more)], env=bench.environment(), **quiet)
    used = 0
    while client.poll() is None:
        for thread in Path(f"/proc/{client.pid}/task").glob("*"):
            try:
                is_worker = thread.joinpath("comm").read_text().startswith("worker")
                os.sched_setaffinity(int(thread.name), {bench.args.client_core if is_worker else bench.args.server_core})
                if is_worker:
                    used = int(thread.joinpath("schedstat").read_text().split()[0]) / 1e9
            except OSError:
                pass  # It has ended.
        time.sleep(0.01)
    sent = bench.document()["metrics"]["http_reqs"]["count"]
    if client.returncode != 0 or sent < 4 * PACE * 0.99:
        sys.exit(f"bench-client.py: {sent} requests were sent at {PACE}/s, exit code {client.returncode}")
    return used


def start(bench):
    times = []
    for _ in range(max(bench.args.rounds, 5)):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(64)
            listener.settimeout(10)
            port = listener.getsockname()[1]
            command = bench.command("start", port=port, vus=1, seconds=1, path="/plain")
            began = time.monotonic()
            client = bench.pinned(bench.args.client_core, command)
            while True:
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(10)
                    request = connection.recv(65536)
                    if request.startswith(b"POST"):
                        break
                    # The health check before the test.
                    body = b'{"status":"ok"}'
                    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
                    connection.sendall(head % len(body) + body)
            times.append((time.monotonic() - began) * 1000)
            client.kill()
            client.wait()
    yield ("from program start to the first request, `--no-server`", f"{middle(times):.1f} ms", "≤ 20 ms")


def main():
    args = arguments()
    bench = Bench(args)
    print(f"Medians of {args.rounds} rounds (display and start: at least 5). Server on core {args.server_core}, client on core "
          f"{args.client_core}; {' '.join(os.uname()[i] for i in (0, 2, 4))}.\n")
    print("| Property | Measured | Limit |\n|---|---:|---:|")
    try:
        for step in args.only:
            for row in globals()[step](bench):
                print("| " + " | ".join(row) + " |", flush=True)
    finally:
        bench.close()


if __name__ == "__main__":
    main()
