#!/usr/bin/env python3
"""Measures what many shards cost shard 0 of a rendezvous.

usage: scripts/rendezvous-scale.py BINARY [SHARDS] [SECONDS] [web]

Shard 0 is the real program. The others (255 by default) are played by this
script: they prove the key, answer the clock's pings, start, and send a second
each second (20 by default), with histograms of a real run. Printed are shard
0's CPU, as a share of a core, and its memory. Bars: below 20 % of a core, below
200 MB, at 256 shards. Exit code 1 if one is missed.

With `web` shard 0 has a live page, and every shard sends everything that it
has recorded in a second. That costs more, and the bars are the same: 11 % of a
core were measured for 256 shards.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

KEY = "scale-0123456789abcdef"
PROFILE = """executor = "constant-arrival-rate"
rate = {rate}
duration = "{duration}s"
max_vus = {shards}
graceful_stop = "1s"
[[requests]]
name = "plain"
api = "openai-chat"
[[requests]]
name = "stream"
api = "openai-chat"
stream = true
[thresholds]
http_req_failed = [{{ threshold = "rate<0.5", abort_on_fail = true }}]
ttft = [{{ threshold = "p(95)<60s", abort_on_fail = true }}]
"""


def frame(kind, body):
    return struct.pack(">IB", len(body), kind) + body


def message(**fields):
    return frame(1, json.dumps(fields).encode())


def proof(side, host, guest, who):
    mac = hmac.new(KEY.encode(), digestmod=hashlib.sha256)
    numbers = f"{who['protocol']} {who['shard']} {who['count']}"
    for part in ["llmsim-blast rendezvous", side, host, guest, numbers, who["plan"], who["version"]]:
        mac.update(struct.pack(">Q", len(part.encode())) + part.encode())
    return base64.b64encode(mac.digest()).decode()


async def read(reader):
    """The next message. Frames of other kinds are for other shards."""
    while True:
        length, kind = struct.unpack(">IB", await reader.readexactly(5))
        body = await reader.readexactly(length)
        if kind == 1:
            return json.loads(body)


def now():
    return time.monotonic_ns()


class Shard:
    """One shard, as shard 0 sees it."""

    def __init__(self, who, port, seconds_of, seconds):
        self.who, self.port, self.seconds_of, self.seconds = who, port, seconds_of, seconds

    async def run(self):
        for _ in range(100):
            try:
                reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
                break
            except OSError:
                await asyncio.sleep(0.1)
        else:
            raise TimeoutError(f"shard 0 does not listen on port {self.port}")
        challenge = await read(reader)
        nonce = base64.b64encode(os.urandom(32)).decode()
        said = proof("guest", challenge["nonce"], nonce, self.who)
        self.writer.write(message(**{"is": "hello"}, who=self.who, nonce=nonce, proof=said))
        welcome = await read(reader)
        if welcome["is"] != "welcome":
            sys.exit(f"error: {welcome}")
        self.writer.write(message(**{"is": "ready"}, plan=self.who["plan"]))
        alive = asyncio.create_task(self.live())
        try:
            while True:
                said = await read(reader)
                if said["is"] == "ping":
                    self.writer.write(message(**{"is": "pong"}, n=said["n"], now=now()))
                elif said["is"] == "start":
                    self.second = self.seconds_of[said["watched"]]
                    self.load = asyncio.create_task(self.send(said["at"]))
                elif said["is"] == "stop":
                    return said
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        finally:
            alive.cancel()

    async def live(self):
        while True:
            self.writer.write(message(**{"is": "alive"}))
            await asyncio.sleep(1)

    async def send(self, at):
        await asyncio.sleep(max(0, at - now()) / 1e9)
        self.writer.write(message(**{"is": "started"}, late=max(0, now() - at)))
        for t_s in range(self.seconds):
            # Real shards send within a few milliseconds of each other, too.
            await asyncio.sleep(max(0, at + (t_s + 1) * 10**9 - now()) / 1e9)
            self.writer.write(frame(2, self.second.replace(b'"t_s": 0', f'"t_s": {t_s}'.encode())))


def used(pid):
    """CPU seconds and peak memory in bytes."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), int(peak) * 1024


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def protocol():
    """The version of the protocol that this checkout speaks."""
    source = pathlib.Path(__file__).resolve().parent.parent / "src" / "rendezvous" / "message.rs"
    return int(re.search(r"PROTOCOL: u32 = (\d+);", source.read_text())[1])


def who_is(binary, profile, url, shards):
    """Plan and version, as a real shard tells them."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = f"127.0.0.1:{server.getsockname()[1]}"
        shard = subprocess.Popen(
            [binary, profile, "--target-url", url, "--no-probe", "--shard", f"1/{shards}", "--rendezvous", place],
            env={"PATH": os.environ["PATH"], "LLMSIM_BLAST_RENDEZVOUS_KEY": KEY},
            stderr=subprocess.DEVNULL)
        try:
            server.settimeout(30)
            connection, _ = server.accept()
            connection.settimeout(30)
            connection.sendall(message(**{"is": "challenge"}, protocol=protocol(), nonce="x"))
            data = connection.makefile("rb")
            length, _ = struct.unpack(">IB", data.read(5))
            return json.loads(data.read(length))["who"]
        finally:
            shard.kill()
            shard.wait()


async def measure(binary, shards, seconds, web):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="blast-scale-"))
    origin = subprocess.Popen([binary, "origin", "--port", "0"], stdout=subprocess.PIPE, text=True)
    url = origin.stdout.readline().split()[-1]
    environment = {"PATH": os.environ["PATH"], "LLMSIM_BLAST_RENDEZVOUS_KEY": KEY}
    host = None
    try:
        # Measure one second with a hundred requests.
        busy = folder / "busy.toml"
        busy.write_text(PROFILE.format(rate=100, duration=3, shards=400))
        out = folder / "busy.json"
        subprocess.run([binary, busy, "--target-url", url, "--no-probe", "--quiet", "--output", out], check=True,
                       stdout=subprocess.DEVNULL, env=environment)
        result = json.loads(out.read_text())
        entry = dict(result["series"][1], t_s=0)
        numbers = {name: result["metrics"][name] for name in ("http_req_failed", "ttft")}
        totals = {"http_reqs": [100, 0], "http_req_failed": [0, 100]}
        said = {"second": entry, "totals": totals, "numbers": {
            "window_ns": 10**9, "all": numbers, "requests": {"plain": {}, "stream": {}}, "turns": {}}}
        # For all kinds of request together, shards only send metrics that do not belong to a kind.
        of_kinds = set().union(*result["requests"].values())
        of_none = {name: value for name, value in result["metrics"].items() if name not in of_kinds}
        everything = {"window_ns": 10**9, "all": of_none, "requests": result["requests"], "turns": {}}
        seconds_of = {False: json.dumps(said).encode(), True: json.dumps(dict(said, interval=everything)).encode()}
        second = seconds_of[web]

        profile = folder / "profile.toml"
        profile.write_text(PROFILE.format(rate=shards, duration=seconds + 5, shards=shards))
        who = who_is(binary, profile, url, shards)
        port = free_port()
        log = (folder / "log").open("w")
        host = subprocess.Popen(
            [binary, profile, "--target-url", url, "--no-probe", "--shard", f"0/{shards}", "--rendezvous",
             f"127.0.0.1:{port}", *(["--web", "0"] if web else [])], env=environment, stdout=log, stderr=log)
        all_shards = [Shard(dict(who, shard=i), port, seconds_of, seconds) for i in range(1, shards)]
        tasks = [asyncio.create_task(shard.run()) for shard in all_shards]
        while "shards started within" not in (folder / "log").read_text():
            if host.poll() is not None:
                sys.exit((folder / "log").read_text())
            await asyncio.sleep(0.1)
        await asyncio.sleep(2)
        began, (cpu, _) = time.monotonic(), used(host.pid)
        await asyncio.sleep(seconds - 5)
        (after, memory), took = used(host.pid), time.monotonic() - began
        share = (after - cpu) / took
        log_text = (folder / "log").read_text()
        lines = [line for line in log_text.splitlines() if "started within" in line or "req/s" in line]
        size = f"{len(second) / 1e3:.1f} kB a second each"
        print(f"{shards} shards, {size}: {share:.1%} of a core, {memory / 1e6:.0f} MB")
        print("\n".join(lines[:2]))
        host.terminate()
        await asyncio.gather(*tasks)
        return share < 0.2 and memory < 200e6
    finally:
        for process in filter(None, [host, origin]):
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def main():
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        print(__doc__.strip())
        sys.exit(0 if len(sys.argv) > 1 else 2)
    shards = int(sys.argv[2]) if len(sys.argv) > 2 else 256
    seconds = int(sys.argv[3]) if len(sys.argv) > 3 else 20
    web = sys.argv[4:] == ["web"]
    sys.exit(0 if asyncio.run(measure(sys.argv[1], shards, seconds, web)) else 1)


if __name__ == "__main__":
    main()
