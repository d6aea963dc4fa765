#!/usr/bin/env python3
"""Measures what live conversations cost the client in memory, and that none of
them is lost.

5,000 users hold one conversation of 8 turns each at the same time, with replies
of 200 tokens, against `llmsim-blast origin`. The bar: every conversation is
completed, and the peak memory is at most twice the bytes of all histories,
which are all there at the end of the last turn, and 40 MB. The bytes of one
history are measured with one user: what its ninth request sends more than its
first. Prints a Markdown table, and exits with 1 if the bar is missed. Requires
Linux.

usage: scripts/bench-conversations.py [--bin FILE] [--users N] [--turns N]
       [--tokens N]
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BASE_BYTES = 40e6

PROFILE = """
executor = "per-vu-iterations"
vus = {users}
iterations = 1
max_duration = "20m"

[[requests]]
name = "talk"
api = "openai-chat"
stream = true
model = "m"
prompt = ["Tell me more about it."]
path = "/v1/chat/completions?ttft=500ms&gap=0&tokens={tokens}"
timeout = "10m"
conversation = {{ turns = {turns} }}
"""


def count(result, counter):
    return result["metrics"][counter]["count"]


def run(binary, folder, url, users, turns, tokens):
    """One run: its result, and the peak of its memory in bytes."""
    profile, output = folder / "talk.toml", folder / "talk.json"
    profile.write_text(PROFILE.format(users=users, turns=turns, tokens=tokens))
    output.unlink(missing_ok=True)
    arguments = [binary, str(profile), "--target-url", url, "--no-probe", "--quiet", "--output", str(output)]
    child = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    if not output.exists():
        sys.exit(f"a run of {users} users wrote no result: status {status}")
    return json.loads(output.read_text()), used.ru_maxrss * 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=str(ROOT / "target/release/llmsim-blast"))
    parser.add_argument("--users", type=int, default=5000)
    parser.add_argument("--turns", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=200)
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    origin = subprocess.Popen([options.bin, "origin", "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        url = next(word for line in origin.stdout for word in line.split() if word.startswith("http://"))
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            alone = [
                count(run(options.bin, folder, url, 1, turns, options.tokens)[0], "data_sent")
                for turns in (1, options.turns, options.turns + 1)
            ]
            history = (alone[2] - alone[1]) - alone[0]
            result, peak = run(options.bin, folder, url, options.users, options.turns, options.tokens)
    finally:
        origin.terminate()
    histories = history * options.users
    limit = 2 * histories + BASE_BYTES
    completed, requests = count(result, "conversations_completed"), count(result, "http_reqs")
    whole = completed == options.users and requests == options.users * options.turns
    whole = whole and result["metrics"]["http_req_failed"]["matches"] == 0
    whole = whole and count(result, "token_events") == requests * options.tokens
    print("| Conversations | Completed | Requests | Failed | Bytes of a history | All histories | Peak memory | Bar |")
    print("|---|---|---|---|---|---|---|---|")
    failed = result["metrics"]["http_req_failed"]["matches"]
    print(
        f"| {options.users} × {options.turns} turns × {options.tokens} tokens | {completed} | {requests} | {failed} "
        f"| {history} | {histories / 1e6:.1f} MB | {peak / 1e6:.1f} MB | {limit / 1e6:.1f} MB |"
    )
    if not whole or peak > limit:
        sys.exit("the bar is missed" if whole else "conversations or tokens were lost")


if __name__ == "__main__":
    main()
