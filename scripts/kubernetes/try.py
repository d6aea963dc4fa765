#!/usr/bin/env python3
"""Runs an overlay on this machine without Kubernetes: a small stand-in for the Job
controller and a kubelet.

usage: scripts/kubernetes/try.py BINARY [OVERLAY]

It reads the manifest as kubectl renders it, and runs each pod's environment,
arguments and mounts as a process, with the completion index appended last, as
Kubernetes does. Signals come in the order that Kubernetes documents: when a pod
fails (backoffLimit 0) or index 0 succeeds (successPolicy), the others get
SIGTERM, and SIGKILL after terminationGracePeriodSeconds. Pod names are loopback
addresses here, and the load goes to a server of its own, for a few seconds.

The cases: a test that passes, a threshold that fails, SIGTERM to a pod, a pod
that is killed, a pod that hangs.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import yaml

HERE = pathlib.Path(__file__).resolve().parent


def free_port():
    import socket
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Pods:
    """The pods of a Job as processes."""

    def __init__(self, binary, job, folder, url, profile):
        self.spec, self.folder = job["spec"], folder
        pod = self.spec["template"]["spec"]
        container = pod["containers"][0]
        # Do not wait a minute for a process that hangs.
        self.grace = min(pod["terminationGracePeriodSeconds"], 10)
        for name in ("profile", "key", "results", "tmp"):
            (folder / name).mkdir()
        (folder / "profile" / "profile.toml").write_text(profile)
        (folder / "key" / "key").write_text(os.urandom(24).hex())
        here = {f"blast-0.{pod['subdomain']}:7946": f"localhost:{free_port()}"}
        # The profiles below set the duration.
        args = [argument for argument in container["args"] if not argument.startswith("--duration")]
        args = [self.localised(argument, container, here) for argument in args]
        args = [f"--target-url={url}" if argument.startswith("--target-url=") else argument for argument in args]
        args[0] = str(folder / "profile" / "profile.toml")
        self.pods = []
        for index in range(self.spec["completions"]):
            env = {"PATH": os.environ["PATH"], "HOSTNAME": f"blast-{index}"}
            env |= {variable["name"]: variable["value"] for variable in container["env"] if "value" in variable}
            env["JOB_COMPLETION_INDEX"] = str(index)
            log = (folder / f"pod-{index}.log").open("w")
            process = subprocess.Popen([binary, *args, "--no-probe"], env=env, stdout=log, stderr=log)
            self.pods.append(process)

    def localised(self, argument, container, here):
        for name, address in here.items():
            argument = argument.replace(name, address)
        for mount in container["volumeMounts"]:
            before, found, after = argument.partition(f"={mount['mountPath']}/")
            if found:
                return f"{before}={self.folder / mount['name']}/{after}"
        return argument

    def log(self, index):
        return (self.folder / f"pod-{index}.log").read_text()

    def wait_for_start(self):
        deadline = time.monotonic() + 30
        while "shards started within" not in self.log(0):
            if time.monotonic() > deadline:
                sys.exit(f"error: the shards do not start:\n{self.log(0)}")
            time.sleep(0.05)
        time.sleep(1)

    def finish(self):
        """The Job's condition, and the exit codes of its pods."""
        condition, kill_at = None, None
        deadline = time.monotonic() + 90
        while True:
            codes = [pod.poll() for pod in self.pods]
            if condition is None:
                if any(code not in (None, 0) for code in codes):
                    condition = "Failed"
                elif codes[0] == 0:
                    condition = "Complete"
                if condition:
                    kill_at = time.monotonic() + self.grace
                    self.signal_all(signal.SIGTERM)
            if all(code is not None for code in codes):
                return condition, codes
            now = time.monotonic()
            if now > deadline or (kill_at and now > kill_at):
                self.signal_all(signal.SIGKILL)
            time.sleep(0.02)

    def signal_all(self, number):
        for pod in self.pods:
            if pod.poll() is None:
                pod.send_signal(number)
                if number == signal.SIGKILL:
                    pod.send_signal(signal.SIGCONT)

    def whole(self):
        file = self.folder / "results" / "run.json"
        return json.loads(file.read_text()) if file.exists() else {"verdict": "none"}


def profile(duration, rules=""):
    return (
        f'executor = "constant-vus"\nvus = 32\nduration = "{duration}"\ngraceful_stop = "2s"\nthink_time = "20ms"\n'
        f'[[requests]]\nname = "chat"\napi = "openai-chat"\n{rules}'
    )


def main():
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        print(__doc__.strip())
        sys.exit(0 if len(sys.argv) > 1 else 2)
    binary = str(pathlib.Path(sys.argv[1]).resolve())
    overlay = sys.argv[2] if len(sys.argv) > 2 else "small"
    done = subprocess.run(
        ["kubectl", "kustomize", str(HERE / "overlays" / overlay)], capture_output=True, text=True, check=True)
    job = next(d for d in yaml.safe_load_all(done.stdout) if d and d["kind"] == "Job")
    origin = subprocess.Popen([binary, "origin", "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        url = origin.stdout.readline().split()[-1]
        for name, text, act, condition, code, verdict in [
            ("passes", profile("2s"), None, "Complete", 0, "pass"),
            ("fails", profile("2s", '[thresholds]\nhttp_req_duration = ["p(95)<0.001"]\n'), None, "Failed", 99, "fail"),
            ("SIGTERM to a pod", profile("60s"), signal.SIGTERM, "Failed", 105, "interrupted"),
            ("SIGKILL of a pod", profile("60s"), signal.SIGKILL, "Failed", 110, "incomplete"),
            ("SIGSTOP of a pod", profile("60s"), signal.SIGSTOP, "Failed", 110, "incomplete"),
        ]:
            with tempfile.TemporaryDirectory(prefix="blast-pods-") as folder:
                pods = Pods(binary, job, pathlib.Path(folder), url, text)
                if act:
                    pods.wait_for_start()
                    pods.pods[-1].send_signal(act)
                began = time.monotonic()
                seen, codes = pods.finish()
                result = pods.whole()["verdict"]
                took = time.monotonic() - began
                print(f"{name}: {seen}, exit codes {codes}, the whole: {result}, {took:.1f} s")
                if (seen, codes[0], result) != (condition, code, verdict):
                    sys.exit(f"FAILED: expected {condition}, {code} of pod 0, {verdict}\n{pods.log(0)}")
    finally:
        origin.terminate()
        origin.wait()


if __name__ == "__main__":
    main()
