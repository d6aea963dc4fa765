#!/usr/bin/env python3
"""Measures how far apart shards that meet start, on this machine, through a
network that delays, and what happens when that network is cut.

usage: scripts/rendezvous-starts.py BINARY [SHARDS] [RUNS]

Each shard but the first reaches shard 0 through a proxy of its own. For each
delay (0 ms, and 50 ms each way with up to 5 ms of jitter) the shards run RUNS
times (5). Printed are the spread that shard 0 reports, and the true one: all
processes share this machine's clock. Bars: 2 ms without delay, 20 ms through 50
ms. At last the proxy of one shard is cut, which sends nothing more in either
direction and closes nothing: all have to end within 10 s with exit code 110.
Exit code 1 if a bar is missed. Other programs that use the processors spoil the
numbers.
"""

import asyncio
import datetime
import json
import os
import pathlib
import random
import socket
import subprocess
import sys
import tempfile
import time

PROFILE = """executor = "constant-vus"
vus = {shards}
duration = "{duration}"
graceful_stop = "1s"
think_time = "20ms"
[[requests]]
name = "chat"
api = "openai-chat"
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Proxy:
    """Passes bytes on, later."""

    def __init__(self, to, delay, jitter):
        self.to, self.delay, self.jitter, self.is_cut = to, delay, jitter, False

    async def start(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        return self.server.sockets[0].getsockname()[1]

    async def serve(self, reader, writer):
        try:
            upstream, up = await asyncio.open_connection("127.0.0.1", self.to)
        except OSError:
            writer.close()
            return
        await asyncio.gather(self.pump(reader, up), self.pump(upstream, writer), return_exceptions=True)

    async def pump(self, reader, writer):
        queue = asyncio.Queue()
        send = asyncio.create_task(self.deliver(queue, writer))
        while data := await reader.read(65536):
            due = time.monotonic() + self.delay + random.uniform(0, self.jitter)
            await queue.put((due, data))
        await queue.put((time.monotonic() + self.delay, None))
        await send

    async def deliver(self, queue, writer):
        while True:
            due, data = await queue.get()
            await asyncio.sleep(max(0, due - time.monotonic()))
            while self.is_cut:
                await asyncio.sleep(1)
            if data is None:
                writer.close()
                return
            writer.write(data)


# Longest duration of a run that ends by itself. A longer run hangs.
DEADLINE = 120


class Run:
    def __init__(self, binary, url, shards, duration):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="blast-starts-"))
        self.binary, self.url, self.shards = binary, url, shards
        (self.folder / "p.toml").write_text(PROFILE.format(shards=shards, duration=duration))

    async def go(self, delay, jitter=0.0, cut=False):
        port = free_port()
        proxies = [Proxy(port, delay, jitter) for _ in range(self.shards - 1)]
        ports = [port] + [await proxy.start() for proxy in proxies]
        processes = []
        for shard, at in enumerate(ports):
            log = (self.folder / f"{shard}.log").open("w")
            processes.append(await asyncio.create_subprocess_exec(
                self.binary, self.folder / "p.toml", "--target-url", self.url, "--no-probe", "--quiet" if shard else
                "--no-color", "--shard", f"{shard}/{self.shards}", "--rendezvous", f"127.0.0.1:{at}", "--output",
                self.folder / "run.json", stdout=log, stderr=log, env={"PATH": os.environ["PATH"]}))
        try:
            return await asyncio.wait_for(self.to_the_end(processes, proxies if cut else None), DEADLINE)
        except asyncio.TimeoutError:
            sys.exit(f"error: not over within {DEADLINE} s: {self.folder}")
        finally:
            for process in processes:
                if process.returncode is None:
                    process.kill()
            for proxy in proxies:
                proxy.server.close()

    async def to_the_end(self, processes, cut):
        """Exit codes; and, if the last of these proxies is to be cut, how long all took after it."""
        took = None
        if cut:
            while "shards started within" not in (self.folder / "0.log").read_text():
                if any(process.returncode is not None for process in processes):
                    sys.exit(f"error: a shard ended before the start: {self.folder}")
                await asyncio.sleep(0.05)
            await asyncio.sleep(1)
            cut[-1].is_cut = True
            began = time.monotonic()
        codes = [await process.wait() for process in processes]
        if cut:
            took = time.monotonic() - began
        return codes, took

    def spread(self):
        """As reported, and by this machine's clock, in ms."""
        runs = json.loads((self.folder / "run.json").read_text())["run"]["merged_from"]
        late = [run["start"]["late_ms"] for run in runs]
        # The time stamps give the agreed instant, by the clock of the machine.
        stamps = [datetime.datetime.fromisoformat(run["started_at"]).timestamp() * 1e3 for run in runs]
        at = [stamp + run["start"]["late_ms"] for stamp, run in zip(stamps, runs)]
        return max(late) - min(late), max(at) - min(at)


async def main():
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        print(__doc__.strip())
        sys.exit(0 if len(sys.argv) > 1 else 2)
    binary = str(pathlib.Path(sys.argv[1]).resolve())
    shards = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    runs = int(sys.argv[3]) if len(sys.argv) > 3 else 5
    origin = subprocess.Popen([binary, "origin", "--port", "0"], stdout=subprocess.PIPE, text=True)
    failed = False
    try:
        url = origin.stdout.readline().split()[-1]
        for delay, jitter, bar in [(0.0, 0.0, 2), (0.05, 0.005, 20)]:
            spreads = []
            for _ in range(runs):
                run = Run(binary, url, shards, "1s")
                codes, _ = await run.go(delay, jitter)
                if any(codes):
                    sys.exit(f"error: exit codes {codes}: {run.folder}")
                spreads.append(run.spread())
            # The time stamps have millisecond resolution.
            true = sorted(round(true, 2) for _, true in spreads)
            failed |= true[len(true) // 2] > bar
            reported = ", ".join(f"{spread:.2f}" for spread, _ in spreads)
            print(f"{shards} shards, {delay * 1e3:.0f} ms: reported {reported} ms; true {true} ms; bar {bar} ms")
        run = Run(binary, url, shards, "60s")
        codes, took = await run.go(0.0, cut=True)
        failed |= took > 10 or any(code != 110 for code in codes)
        print(f"a shard's network is cut: exit codes {codes} after {took:.1f} s")
    finally:
        origin.terminate()
        origin.wait()
    print("a bar is missed" if failed else "all bars hold", flush=True)
    # Connections through proxies may still be open.
    os._exit(1 if failed else 0)


if __name__ == "__main__":
    asyncio.run(main())
