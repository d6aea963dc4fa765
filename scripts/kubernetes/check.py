#!/usr/bin/env python3
"""Checks the manifests: base and overlays are rendered by kubectl, compared with
the schemas of Kubernetes, read for what no schema says, and created and applied
with `kubectl --dry-run=client`.

usage: scripts/kubernetes/check.py [VERSION ...]

Versions of Kubernetes: 1.33 to the newest that is known, by default. It needs
kubectl (1.27 or later) and, from PyPI, PyYAML and kubernetes-validate. A dry
run asks a server which types there are: a stand-in on the loopback names those
that the manifests use, and has no objects.
"""

import http.server
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading

try:
    import kubernetes_validate
    import yaml
except ImportError as missing:
    sys.exit(f"error: {missing}: pip install pyyaml kubernetes-validate")

HERE = pathlib.Path(__file__).resolve().parent
# By group and version: the name in the path, and the kind.
TYPES = {
    "v1": {"configmaps": "ConfigMap", "services": "Service", "persistentvolumeclaims": "PersistentVolumeClaim"},
    "batch/v1": {"jobs": "Job"},
}


class Types(http.server.BaseHTTPRequestHandler):
    """Answers what there is, as an API server does, and that no object exists yet."""

    def do_GET(self):
        path = self.path.split("?")[0].strip("/")
        answer = self.types(path, path.removeprefix("api/").removeprefix("apis/"))
        body = json.dumps(answer or {"kind": "Status", "status": "Failure", "code": 404}).encode()
        self.send_response(200 if answer else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @staticmethod
    def types(path, version):
        if path == "api":
            return {"kind": "APIVersions", "versions": ["v1"]}
        if path == "apis":
            batch = {"groupVersion": "batch/v1", "version": "v1"}
            groups = [{"name": "batch", "versions": [batch], "preferredVersion": batch}]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
        if version not in TYPES:
            return None
        verbs = ["create", "get", "patch"]
        resources = [{"name": name, "singularName": "", "namespaced": True, "kind": kind, "verbs": verbs}
                     for name, kind in TYPES[version].items()]
        return {"kind": "APIResourceList", "groupVersion": version, "resources": resources}

    def log_message(self, *_):
        pass


def dry_run(folder, objects, server):
    """What `kubectl --dry-run=client` has against a folder. Nothing may be sent but questions: the
    stand-in answers no other request."""
    address, wrong = f"http://127.0.0.1:{server.server_port}", []
    expected = {f"{document['kind'].lower()}/{document['metadata']['name']}" for document in objects}
    with tempfile.TemporaryDirectory() as home:
        env = {**os.environ, "HOME": home, "KUBECONFIG": os.devnull}
        for verb in ("create", "apply"):
            command = ["kubectl", verb, "--dry-run=client", "--validate=false", f"--server={address}", "-k", str(folder)]
            done = subprocess.run(command, capture_output=True, text=True, env=env)
            # A line looks like: job.batch/blast created (dry run)
            lines = [line.split(" ")[0].replace(".batch/", "/") for line in done.stdout.splitlines()]
            if done.returncode != 0 or set(lines) != expected:
                wrong.append(f"kubectl {verb} --dry-run=client: {done.stdout}{done.stderr}".strip())
    return wrong


def rendered(folder):
    """The objects of a folder, as kubectl would apply them."""
    done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"error: {folder.name}: {done.stderr.strip()}")
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def mistakes(objects, is_overlay):
    """What a schema does not say."""
    kinds = {document["kind"]: document for document in objects}
    job, service = kinds["Job"]["spec"], kinds["Service"]["spec"]
    pod = job["template"]["spec"]
    container = pod["containers"][0]
    env = {variable["name"]: variable.get("value") for variable in container["env"]}
    args = dict(argument.lstrip("-").split("=", 1) for argument in container["args"] if "=" in argument)
    labels = job["template"]["metadata"]["labels"]
    resources = container["resources"]
    host, _, port = args["rendezvous"].partition(":")
    name = kinds["Job"]["metadata"]["name"]
    volumes = {volume["name"] for volume in pod["volumes"]}
    config = {document["metadata"]["name"] for document in objects if document["kind"] == "ConfigMap"}
    used = {volume["configMap"]["name"] for volume in pod["volumes"] if "configMap" in volume}
    rules = {
        "completions, parallelism and LLMSIM_BLAST_SHARD_COUNT are the same number":
            job["completions"] == job["parallelism"] == int(env["LLMSIM_BLAST_SHARD_COUNT"]),
        "the Job is Indexed and starts no pod again":
            job["completionMode"] == "Indexed" and job["backoffLimit"] == 0 and pod["restartPolicy"] == "Never",
        "shard 0 decides": job["successPolicy"]["rules"] == [{"succeededIndexes": "0"}],
        "the shards meet at pod 0": host == f"{name}-0.{kinds['Service']['metadata']['name']}",
        "the pods are in the subdomain of the Service": pod["subdomain"] == kinds["Service"]["metadata"]["name"],
        "the Service is headless and selects the pods":
            service["clusterIP"] == "None" and service["selector"].items() <= labels.items(),
        "pods are found before they are ready": service["publishNotReadyAddresses"] is True,
        "the ports are one":
            int(port) == service["ports"][0]["port"] == container["ports"][0]["containerPort"],
        "the shard is the scheduler's": args["shard"] == "auto",
        "there is a key": args["rendezvous-key-file"].startswith("/key/"),
        "requests are limits, in whole CPUs":
            resources["requests"] == resources["limits"] and str(resources["limits"]["cpu"]).isdigit(),
        "the root is read-only, and nobody is root":
            container["securityContext"]["readOnlyRootFilesystem"] and pod["securityContext"]["runAsNonRoot"],
        "there is time to hand over": pod["terminationGracePeriodSeconds"] >= 45,
        "every mount has a volume": {mount["name"] for mount in container["volumeMounts"]} <= volumes,
        "every ConfigMap is there": used <= config,
        "no flag of a secret": "api-key" not in args,
        "an overlay names its target, and the base none": ("//HOST:" in args["target-url"]) != is_overlay,
    }
    return [rule for rule, holds in rules.items() if not holds]


def main():
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__.strip())
        return
    newest = kubernetes_validate.latest_version()
    known = [f"1.{minor}" for minor in range(33, int(newest.split(".")[1]) + 1)]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Types)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    failures = 0
    for folder in [HERE / "base", *sorted((HERE / "overlays").iterdir())]:
        objects, wrong = rendered(folder), []
        for version in sys.argv[1:] or known:
            for document in objects:
                try:
                    kubernetes_validate.validate(document, version, strict=True)
                except kubernetes_validate.ValidationError as error:
                    wrong.append(f"{document['kind']}, Kubernetes {version}: {error.message}")
                except kubernetes_validate.utils.SchemaNotFoundError:
                    wrong.append(f"{document['kind']}, Kubernetes {version}: there is no such kind")
        wrong += [f"not true: {rule}" for rule in mistakes(objects, folder.name != "base")]
        wrong += dry_run(folder, objects, server)
        for one in wrong:
            print(f"FAILED: {folder.name}: {one}")
        if not wrong:
            print(f"ok: {folder.name}: {', '.join(document['kind'] for document in objects)}")
        failures += len(wrong)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
