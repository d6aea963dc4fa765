#!/usr/bin/env bash
# Unpacks an image with umoci and runs it with runc, as a container runtime would.

set -euo pipefail

usage() {
  cat <<'END'
usage: scripts/ship/image-check.sh IMAGE

Checks the archive IMAGE that image.py has written, for this machine: its user,
its files, a read-only root, a whole run, the load of localhost, SIGTERM to
process 1, and that process 1 leaves no zombies. It needs umoci, runc, python3,
and root or user namespaces. Load goes to loopback only.

  -h, --help   print this help

Exit codes: 0 every check passed, 99 one failed, 104 invalid arguments, 107 a
program is missing, or containers cannot be run here.
END
}

# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

image=''
case "${1-}" in
  -h | --help)
    usage
    exit 0
    ;;
  -*) die 104 "unknown argument '$1': see --help" ;;
  *) image=${1-} ;;
esac
[[ -f $image ]] || die 104 "'$image' is not an image: expected an archive that image.py has written"
need umoci runc python3 tar ps

work=$(mktemp -d)
running=()
end() {
  for container in "${running[@]}"; do
    runc --root "$work/run" delete --force "$container" 2>/dev/null || true
  done
  chmod -R u+rwx -- "$work"
  rm -rf -- "$work"
}
trap end EXIT
fail() { die 99 "$@"; }
said() { echo "ok: $*"; }

mkdir "$work/layout"
tar -xf "$image" -C "$work/layout"
# umoci does not select a machine, so the index is reduced to the image of this machine.
tag=$(python3 - "$work/layout" "$(uname -m)" <<'END'
import json, sys
from pathlib import Path
layout, machine = Path(sys.argv[1]), {"x86_64": "amd64", "aarch64": "arm64"}.get(sys.argv[2])
index = json.loads((layout / "index.json").read_text())
top = index["manifests"][0]
tag = top["annotations"]["org.opencontainers.image.ref.name"]
if "index" in top["mediaType"]:
    all = json.loads((layout / "blobs" / top["digest"].replace(":", "/")).read_text())["manifests"]
    top = next(one for one in all if one["platform"]["architecture"] == machine)
    index["manifests"] = [top | {"annotations": {"org.opencontainers.image.ref.name": tag}}]
    (layout / "index.json").write_text(json.dumps(index))
print(tag)
END
) || fail "it is not an image for $(uname -m)"
rootless=()
[[ $(id -u) -eq 0 ]] || rootless=(--rootless)
umoci unpack "${rootless[@]}" --image "$work/layout:$tag" "$work/bundle" >"$work/said" 2>&1 ||
  { cat "$work/said" >&2 && fail "umoci cannot unpack the image"; }

# Writes the configuration of the bundle for one run: the arguments, and whether /tmp is writable.
cp "$work/bundle/config.json" "$work/config.json"
configure() {
  python3 - "$work/config.json" "$work/bundle/config.json" "$@" <<'END'
import json, sys
source, to, tmp, *args = sys.argv[1:]
config = json.load(open(source))
config["process"]["terminal"] = False
config["process"]["args"] += args
config["process"]["capabilities"] = {}
config["process"]["noNewPrivileges"] = True
config["root"]["readonly"] = True
# Use the loopback of this machine. In a network namespace, the loopback would first have to be
# brought up.
config["linux"]["namespaces"] = [space for space in config["linux"]["namespaces"] if space["type"] != "network"]
if tmp == "tmp":
    options = ["nosuid", "nodev", "mode=1777", "size=64m"]
    config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": options})
json.dump(config, open(to, "w"))
END
}

# Runs the image to its end: run tmp|none ARGUMENTS.
count=0
run() {
  configure "$@"
  count=$((count + 1))
  timeout --kill-after=5 120 runc --root "$work/run" run --bundle "$work/bundle" "check-$$-$count" </dev/null
}
# Starts the image, and leaves it running as the container "$name".
start() {
  configure "$@"
  name=check-$$-bg$((count += 1))
  running+=("$name")
  setsid runc --root "$work/run" run --bundle "$work/bundle" "$name" </dev/null >"$work/out" 2>&1 &
  pid=$!
}
# Waits until the output of the started container matches.
await() {
  for _ in $(seq 200); do
    ! grep -qE "$1" "$work/out" || return 0
    [[ -d /proc/$pid ]] || break
    sleep 0.1
  done
  cat "$work/out" >&2
  fail "it never printed $1"
}

code=0
run none --version >"$work/out" 2>&1 || code=$?
if [[ $code -ne 0 ]]; then
  cat "$work/out" >&2
  die 107 "containers cannot be run here"
fi
grep -q "^llmsim-blast $version" "$work/out" || fail "--version prints $(cat "$work/out")"
said "it runs as process 1: $(head -n 1 "$work/out")"

rootfs=$work/bundle/rootfs
files=$(cd -- "$rootfs" && find . -type f -o -type l | sort)
[[ $(grep -cE '/(sh|bash|busybox|dash)$' <<< "$files") -eq 0 ]] || fail "there is a shell: $files"
said "$(wc -l <<< "$files") files, $(du -sk "$rootfs" | cut -f 1) KiB, and no shell"
python3 - "$work/config.json" <<'END' || fail "the user is not 65532"
import json, sys
process = json.load(open(sys.argv[1]))["process"]
sys.exit((process["user"]["uid"], process["user"]["gid"], process["args"]) != (65532, 65532, ["/llmsim-blast"]))
END
said "the user is 65532, and the entry point the binary"

code=0
run none load --duration 1s --output /result.json >"$work/out" 2>&1 || code=$?
[[ $code -eq 104 || $code -eq 105 || $code -eq 107 ]] || { cat "$work/out" >&2 && fail "a root that can be written: $code"; }
said "the root is read-only: $(grep -m 1 -E 'result.json|ead-only' "$work/out" || head -n 1 "$work/out")"

code=0
run tmp quick-smoke --quiet >"$work/out" 2>&1 || code=$?
if grep -q 'built without the embedded simulator' "$work/out"; then
  said "it is the client alone"
  exit 0
fi
[[ $code -eq 0 ]] || { cat "$work/out" >&2 && fail "quick-smoke ends with $code"; }
said "quick-smoke passes with the simulator inside"

start none serve --port 0
await 'http://'
url=$(grep -oE -m 1 'http://[0-9.:]+' "$work/out")
runc --root "$work/run" kill "$name" TERM
code=0
wait "$pid" || code=$?
[[ $code -eq 0 ]] || { cat "$work/out" >&2 && fail "serve at $url ends with $code after SIGTERM"; }
said "serve ends after SIGTERM to process 1"

start tmp load --duration 60s --output - --quiet
children=''
for _ in $(seq 200); do
  first=$(runc --root "$work/run" state "$name" 2>/dev/null |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["pid"])' 2>/dev/null) || first=''
  [[ -z $first ]] || children=$(ps -o stat= --ppid "$first") || true
  [[ -z $children ]] || break
  sleep 0.1
done
[[ -n $children ]] || fail "process 1 has no child, which would be the simulator"
# The load is running or about to begin. Both cases end in the same way.
sleep 2
children=$(ps -o stat= --ppid "$first") || true
zombies=$(grep -c '^Z' <<< "$children") || true
[[ $zombies -eq 0 ]] || fail "process 1 leaves $zombies zombies"
runc --root "$work/run" kill "$name" TERM
code=0
wait "$pid" || code=$?
[[ $code -eq 105 ]] || { cat "$work/out" >&2 && fail "load ends with $code after SIGTERM, expected 105"; }
grep -q '"interrupted"' "$work/out" || fail "load forgets its result after SIGTERM"
said "load ends after SIGTERM with 105 and its result"
