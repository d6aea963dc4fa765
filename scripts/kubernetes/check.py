#!/usr/bin/env python3
"""Checks the manifests: base and overlays are rendered by kubectl, compared with
the schemas of Kubernetes, and read for what no schema says.

usage: scripts/kubernetes/check.py [VERSION ...]

Versions of Kubernetes: 1.33 to the newest that is known, by default. It needs
kubectl (1.27 or later) and, from PyPI, PyYAML and kubernetes-validate. `kubectl
--dry-run=client` asks a server for its types and so is not part of it.
"""

import pathlib
import subprocess
import sys

try:
    import kubernetes_validate
    import yaml
except ImportError as missing:
    sys.exit(f"error: {missing}: pip install pyyaml kubernetes-validate")

HERE = pathlib.Path(__file__).resolve().parent


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
    failures = 0
    for folder in [HERE / "base", *sorted((HERE / "overlays").iterdir())]:
        objects, wrong = rendered(folder), []
        for version in sys.argv[1:] or known:
            for document in objects:
                try:
                    kubernetes_validate.validate(document, version, strict=True)
                except kubernetes_validate.ValidationError as error:
                    wrong.append(f"{document['kind']}, Kubernetes {version}: {error.message}")
        wrong += [f"not true: {rule}" for rule in mistakes(objects, folder.name != "base")]
        for one in wrong:
            print(f"FAILED: {folder.name}: {one}")
        if not wrong:
            print(f"ok: {folder.name}: {', '.join(document['kind'] for document in objects)}")
        failures += len(wrong)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
