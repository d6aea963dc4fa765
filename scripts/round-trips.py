#!/usr/bin/env python3
"""usage: scripts/round-trips.py BINARY

Runs a short load through a network of known delay and loss, and holds what the
result says of the way (`network`) against it. The network is two namespaces and
a program between them that keeps each packet for a while: 20 ms each way, once
without loss, and once with one packet lost in fifty. The least round trip must
be 40 to 45 ms. Needs root, iproute2 and /dev/net/tun. Everything is removed at
the end.
"""

import fcntl
import heapq
import json
import os
import select
import struct
import subprocess
import sys
import tempfile
import threading
import time

# From the block for benchmarks (RFC 2544). It is not routed.
NET = "198.18.78"
DELAY = 0.02
LOST_ONE_IN = 50
# Each VU has a connection. Together they send a few hundred segments.
USERS = 80
TUNSETIFF = 0x400454CA
IFF_TUN_NO_PI = 0x1001


def ip(*args):
    subprocess.run(["ip", *args], check=True)


class Way:
    """Two tunnels, and a thread that carries packets from one to the other, later."""

    def __init__(self, names):
        self.ends = [os.open("/dev/net/tun", os.O_RDWR) for _ in names]
        for end, name in zip(self.ends, names):
            fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH14s", name.encode(), IFF_TUN_NO_PI, b""))
        self.lost_one_in, self.carried, self.is_over = 0, 0, False
        self.thread = threading.Thread(target=self.carry)

    def carry(self):
        late, number = [], 0
        while not self.is_over:
            wait = max(late[0][0] - time.monotonic(), 0) if late else 0.05
            for end in select.select(self.ends, [], [], wait)[0]:
                packet, number = os.read(end, 65536), number + 1
                other = self.ends[1 - self.ends.index(end)]
                # Drop large packets only: a lost SYN costs a second.
                if self.lost_one_in and number % self.lost_one_in == 0 and len(packet) > 100:
                    continue
                heapq.heappush(late, (time.monotonic() + DELAY, number, other, packet))
            while late and late[0][0] <= time.monotonic():
                _, _, other, packet = heapq.heappop(late)
                os.write(other, packet)


def main(binary):
    names = [f"blast-{os.getpid()}-{n}" for n in range(2)]
    devices = [f"way{os.getpid() % 100000}-{n}" for n in range(2)]
    origin, way = None, None
    try:
        for name in names:
            ip("netns", "add", name)
        way = Way(devices)
        for n, (name, device) in enumerate(zip(names, devices)):
            ip("link", "set", device, "netns", name)
            ip("-n", name, "addr", "add", f"{NET}.{n + 1}/24", "dev", device)
            ip("-n", name, "link", "set", device, "up")
            ip("-n", name, "link", "set", "lo", "up")
        way.thread.start()
        at = [["ip", "netns", "exec", name] for name in names]
        serve = [binary, "origin", "--host", f"{NET}.2", "--port", "8080"]
        origin = subprocess.Popen(at[1] + serve, stdout=subprocess.PIPE)
        origin.stdout.readline()
        with tempfile.TemporaryDirectory() as lab:
            for lost_one_in in [0, LOST_ONE_IN]:
                way.lost_one_in = lost_one_in
                hold(run(at[0], binary, lab), lost_one_in)
    finally:
        if way:
            way.is_over = True
            way.thread.join()
        if origin:
            origin.kill()
            origin.wait()
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False)


def run(at, binary, lab):
    profile, result = f"{lab}/p.toml", f"{lab}/r.json"
    with open(profile, "w") as file:
        file.write(
            f'executor = "constant-vus"\nvus = {USERS}\nduration = "6s"\n'
            '[[requests]]\nname = "chat"\napi = "openai-chat"\nstream = true\n'
        )
    url = f"http://{NET}.2:8080"
    command = at + [binary, profile, "--target-url", url, "--no-probe", "--output", result, "--details"]
    done = subprocess.run(command, capture_output=True, text=True)
    print("\n".join(line for line in done.stdout.splitlines() if "round trip" in line or "sent again" in line))
    with open(result) as file:
        return json.load(file)


def hold(result, lost_one_in):
    network = result["network"]
    print(json.dumps({**network, "ttft": result["metrics"]["ttft"]["p50"]}))
    least = network["least_rtt"]["p50"]
    assert 2e3 * DELAY <= least <= 2e3 * DELAY + 5, f"the least round trip is {least} ms"
    assert network["connections"] == USERS, network
    assert (network["retransmitted"] > 0) == (lost_one_in > 0), network
    print(f"ok: least round trip {least} ms, {network['retransmitted']} sent again, one in {lost_one_in} lost")


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] in ("-h", "--help"):
        print(__doc__)
        sys.exit(0 if len(sys.argv) == 2 else 2)
    main(os.path.realpath(sys.argv[1]))
