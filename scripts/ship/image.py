#!/usr/bin/env python3
"""usage: image.py --out FILE --tag NAME:VERSION ARCH=BINARY [ARCH=BINARY…]

Writes a container image as one archive, without a daemon. ARCH is amd64 or
arm64. With several of them the archive holds an image for each machine.

The image has the binary as its entry point, a user without rights (65532), an
empty /tmp and nothing else: no shell, no library, no package manager. A
binary that is not static brings the libraries that ldd names, which is for
tests. The same input gives the same bytes: dates are SOURCE_DATE_EPOCH.

  podman load -i FILE      docker load -i FILE
  skopeo copy --all oci-archive:FILE docker://HOST/NAME:VERSION

Exit codes: 0 written, 104 invalid arguments, 107 a file cannot be read.
"""

import gzip
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
from datetime import datetime, timezone
from pathlib import Path

# The user of scripts/kubernetes. In other images, too, 65532 is "nonroot".
USER = 65532
ENTRY = "/llmsim-blast"
# Users, and a name service that only reads files. Static binaries read these files as well.
FILES = Path(__file__).parent / "image"
EPOCH = int(os.environ.get("SOURCE_DATE_EPOCH") or 0)
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def die(code, text):
    print(f"image.py: {text}", file=sys.stderr)
    sys.exit(code)


def libraries(binary):
    """Paths of the libraries that a binary is linked with; of a static one, none."""
    found = subprocess.run(["ldd", binary], capture_output=True, text=True)
    return sorted(set(re.findall(r"(/\S+) \(0x", found.stdout))) if found.returncode == 0 else []


class Tar:
    """A tar archive whose entries have no date and no owner of this machine."""

    def __init__(self):
        self.bytes = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.bytes, mode="w", format=tarfile.GNU_FORMAT)
        self.folders = set()

    def folder(self, name, mode=0o755):
        if name and name not in self.folders:
            self.folder(str(Path(name).parent).removeprefix("."))
            self.folders.add(name)
            self.add(name, tarfile.DIRTYPE, mode, b"")

    def file(self, name, data, mode=0o644):
        self.folder(str(Path(name).parent).removeprefix("."))
        self.add(name, tarfile.REGTYPE, mode, data)

    def add(self, name, kind, mode, data):
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode, entry.size, entry.mtime = kind, mode, len(data), EPOCH
        self.tar.addfile(entry, io.BytesIO(data))

    def close(self):
        self.tar.close()
        return self.bytes.getvalue()


def layer(binary):
    tar = Tar()
    for file in sorted(path for path in FILES.rglob("*") if path.is_file()):
        tar.file(str(file.relative_to(FILES)), file.read_bytes())
    tar.folder("tmp", 0o1777)
    tar.file(ENTRY[1:], Path(binary).read_bytes(), 0o755)
    for library in libraries(binary):
        tar.file(library[1:], Path(library).read_bytes(), 0o755)
    return tar.close()


class Layout:
    """The blobs of an image, by their sums."""

    def __init__(self):
        self.blobs = {}

    def add(self, kind, data, **more):
        if not isinstance(data, bytes):
            data = json.dumps(data, sort_keys=True).encode()
        digest = hashlib.sha256(data).hexdigest()
        self.blobs[digest] = data
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data), **more}

    def image(self, arch, binary, version):
        """One machine's image: its descriptor, and what `docker load` wants to know of it."""
        created = datetime.fromtimestamp(EPOCH, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        plain = layer(binary)
        packed = self.add(LAYER, gzip.compress(plain, 9, mtime=0))
        config = self.add(
            CONFIG,
            {
                "architecture": arch,
                "os": "linux",
                "created": created,
                "config": {
                    "User": f"{USER}:{USER}",
                    "Entrypoint": [ENTRY],
                    "WorkingDir": "/",
                    "StopSignal": "SIGTERM",
                    "Labels": {
                        "org.opencontainers.image.title": "llmsim-blast",
                        "org.opencontainers.image.description": "Load tester for LLM APIs",
                        "org.opencontainers.image.licenses": "MIT",
                        "org.opencontainers.image.version": version,
                    },
                },
                "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(plain).hexdigest()}"]},
                "history": [{"created": created, "created_by": "scripts/ship/image.py"}],
            },
        )
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [packed]}
        platform = {"architecture": arch, "os": "linux"}
        return self.add(MANIFEST, manifest, platform=platform), (config, packed)


def main(args):
    if args[:1] in (["-h"], ["--help"]):
        print(__doc__, end="")
        return
    out = tag = ""
    binaries = []
    while args:
        name = args.pop(0)
        if name in ("--out", "--tag"):
            if not args:
                die(104, f"{name} needs a value: see --help")
            value = args.pop(0)
            out, tag = (value, tag) if name == "--out" else (out, value)
        elif (pair := name.split("=", 1)) and len(pair) == 2 and pair[0] in ("amd64", "arm64"):
            binaries.append(pair)
        else:
            die(104, f"unknown argument '{name}': expected amd64=BINARY or arm64=BINARY; see --help")
    if not re.fullmatch(r"[a-z0-9][a-z0-9._/-]*:[A-Za-z0-9_][A-Za-z0-9._-]*", tag):
        die(104, f"invalid value '{tag}' for --tag: expected NAME:VERSION")
    if not out or not binaries:
        die(104, "--out and at least one binary are required: see --help")
    layout = Layout()
    version = tag.rsplit(":", 1)[1]
    try:
        images = [layout.image(arch, binary, version) for arch, binary in binaries]
    except OSError as error:
        die(107, f"{error.filename} cannot be read: {error.strerror}")
    described = {"org.opencontainers.image.ref.name": version, "io.containerd.image.name": tag}
    top = images[0][0]
    if len(images) > 1:
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [manifest for manifest, _ in images]}
        top = layout.add(INDEX, index)
    top = {name: value for name, value in top.items() if name != "platform"} | {"annotations": described}
    path = lambda of: "blobs/" + of["digest"].replace(":", "/")
    config, packed = images[0][1]
    tar = Tar()
    tar.file("oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
    tar.file("index.json", json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [top]}).encode())
    # `docker load` before version 25 reads only this file.
    tar.file("manifest.json", json.dumps([{"Config": path(config), "RepoTags": [tag], "Layers": [path(packed)]}]).encode())
    for digest, data in sorted(layout.blobs.items()):
        tar.file(f"blobs/sha256/{digest}", data)
    Path(out).write_bytes(tar.close())
    print(out)


if __name__ == "__main__":
    main(sys.argv[1:])
