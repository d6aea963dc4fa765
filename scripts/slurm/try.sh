#!/usr/bin/env bash
# Tries scripts/slurm/blast.sbatch with a real Slurm on this machine: one slurmctld and four slurmd,
# in a folder of their own.

set -euo pipefail

usage() {
  cat <<'END'
usage: scripts/slurm/try.sh [BINARY]

Starts munged, slurmctld and four slurmd (Debian: apt-get install slurmctld
slurmd slurm-client munge), runs jobs against a small server, and checks their
results: merged, threshold, global abort, a shard killed, scancel, requeue.
Everything is stopped at the end. It must be run as root. Ports 16817 to 16821
are used.

  BINARY   llmsim-blast to try [target/release/llmsim-blast]
END
}

case "${1-}" in
  -h | --help)
    usage
    exit 0
    ;;
esac

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
binary=$(realpath "${1:-$here/../../target/release/llmsim-blast}")
for program in munged slurmctld slurmd srun sbatch scancel; do
  if ! PATH=$PATH:/usr/sbin command -v "$program" > /dev/null; then
    echo "error: $program is missing: apt-get install slurmctld slurmd slurm-client munge" >&2
    exit 104
  fi
done
if [ "$(id -u)" -ne 0 ]; then
  echo "error: slurmd needs root" >&2
  exit 104
fi
PATH=$PATH:/usr/sbin

lab=$(mktemp -d /tmp/blast-slurm.XXXXXX)
chmod 755 "$lab"
pids=()
stop() {
  for pid in "${pids[@]}"; do
    kill "$pid" 2> /dev/null || true
  done
  for pid in "${pids[@]}"; do
    for _ in $(seq 50); do
      kill -0 "$pid" 2> /dev/null || break
      sleep 0.1
    done
    kill -KILL "$pid" 2> /dev/null || true
  done
  [ -n "${KEEP-}" ] || rm -rf "$lab"
}
trap stop EXIT

head -c 128 /dev/urandom > "$lab/munge.key"
chmod 600 "$lab/munge.key"
mkdir -p "$lab/munge" "$lab/state" "$lab/log" "$lab/home"
chmod 755 "$lab/munge" "$lab/log"
munged --force --foreground --key-file "$lab/munge.key" --socket "$lab/munge/socket" --pid-file "$lab/munge/pid" \
  --seed-file "$lab/munge/seed" --log-file "$lab/log/munge" &
pids+=($!)

host=$(hostname -s)
cat > "$lab/slurm.conf" <<END
ClusterName=lab
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
AuthType=auth/munge
AuthInfo=socket=$lab/munge/socket
CryptoType=crypto/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$lab/state
SlurmdSpoolDir=$lab/spool-%n
SlurmctldPidFile=$lab/slurmctld.pid
SlurmdPidFile=$lab/slurmd-%n.pid
SlurmctldLogFile=$lab/log/slurmctld
SlurmdLogFile=$lab/log/slurmd-%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/linear
SlurmdParameters=config_overrides
MpiDefault=none
ReturnToService=2
KillWait=5
MinJobAge=300
TreeWidth=4
NodeName=n[0-3] NodeHostname=$host NodeAddr=127.0.0.1 Port=[16818-16821] CPUs=1 RealMemory=100 State=UNKNOWN
PartitionName=lab Nodes=n[0-3] Default=YES MaxTime=INFINITE State=UP
END
export SLURM_CONF=$lab/slurm.conf
slurmctld -D -i -f "$SLURM_CONF" > /dev/null 2>&1 &
pids+=($!)
for n in 0 1 2 3; do
  mkdir -p "$lab/spool-n$n"
  slurmd -D -N "n$n" -f "$SLURM_CONF" > /dev/null 2>&1 &
  pids+=($!)
done
for _ in $(seq 100); do
  [ "$(sinfo -h -t idle -o %D 2> /dev/null)" = 4 ] && break
  sleep 0.2
done
sinfo -o '%P %D %t'

"$binary" origin --port 0 > "$lab/origin" &
pids+=($!)
for _ in $(seq 50); do
  url=$(sed -n 's/^origin on //p' "$lab/origin")
  [ -n "$url" ] && break
  sleep 0.1
done

# All four nodes are one machine, so shard 0 is found at the address of the first node.
scontrol_hosts=$lab/bin/scontrol
mkdir -p "$lab/bin"
cat > "$scontrol_hosts" <<END
#!/bin/sh
[ "\$2" = hostnames ] && exec echo 127.0.0.1
exec $(command -v scontrol) "\$@"
END
chmod +x "$scontrol_hosts"

profile() {
  printf 'executor = "constant-vus"\nvus = 8\nduration = "%s"\ngraceful_stop = "1s"\n' "$2"
  printf '[[requests]]\nname = "chat"\napi = "openai-chat"\n%s\n' "$3"
} > "$lab/home/$1"
profile pass.toml 3s ''
profile fail.toml 3s '[thresholds]
http_req_duration = ["p(95)<0.001"]'
profile abort.toml 60s '[thresholds]
http_reqs = [{ threshold = "count<400", abort_on_fail = true }]'
profile long.toml 60s ''

cd "$lab/home"
export LLMSIM_BLAST_BIN=$binary PATH=$lab/bin:$PATH
submit() {
  sbatch --parsable --nodes 4 --output "$lab/home/%j.out" "${more[@]}" "$here/blast.sbatch" "$1" --target-url "$url" \
    --no-probe
}
state() {
  scontrol show job "$1" | sed -n 's/.*JobState=\([A-Z]*\).*/\1/p'
}
code() {
  scontrol show job "$1" | sed -n 's/.*ExitCode=\([0-9]*\):.*/\1/p'
}
ended() {
  for _ in $(seq 300); do
    case $(state "$1") in
      PENDING | RUNNING | COMPLETING | CONFIGURING) sleep 0.2 ;;
      *) return ;;
    esac
  done
  echo "error: job $1 does not end" >&2
  cat "$1.out" >&2
  exit 1
}
running() {
  for _ in $(seq 150); do
    grep -qs 'shards started within' "$1.out" && return
    sleep 0.2
  done
  echo "error: job $1 does not start" >&2
  cat "$1.out" >&2
  exit 1
}
expect() {
  if [ "$2" != "$3" ]; then
    echo "FAILED: $1: $2, expected $3" >&2
    tail -n 40 ./*.out >&2
    exit 1
  fi
  echo "ok: $1: $2"
}
field() {
  python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$1" "$2"
}
more=()

job=$(submit pass.toml)
ended "$job"
expect "four shards, exit code" "$(code "$job")" 0
expect "four shards, merged" "$(field "blast-$job/run.json" 'd["verdict"], len(d["run"]["merged_from"])')" "('pass', 4)"
"$binary" merge "blast-$job"/run-?of4.json --output hand.json > /dev/null
expect "merged by hand" "$(cmp hand.json "blast-$job/run.json" && echo the same)" "the same"
grep -h 'shards started within' "$job.out"

job=$(submit fail.toml)
ended "$job"
expect "a threshold fails, exit code" "$(code "$job")" 99

job=$(submit abort.toml)
ended "$job"
expect "a threshold ends all, exit code" "$(code "$job")" 99
expect "a threshold ends all, reason" "$(field "blast-$job/run.json" 'd["run"]["stop_reason"]')" "threshold http_reqs count<400"

job=$(submit long.toml)
running "$job"
victim=
for pid in $(pgrep -f "$binary long.toml.*blast-$job/"); do
  tr '\0' '\n' < "/proc/$pid/environ" | grep -qx SLURM_PROCID=2 && victim=$pid
done
kill -KILL "$victim"
ended "$job"
expect "a shard is killed, state" "$(state "$job")" FAILED
expect "a shard is killed, whole" "$(field "blast-$job/run.json" 'd["verdict"], len(d["run"]["merged_from"])')" \
  "('incomplete', 3)"

job=$(submit long.toml)
running "$job"
scancel --signal=TERM "$job"
ended "$job"
expect "scancel --signal=TERM, whole" \
  "$(field "blast-$job/run.json" 'd["verdict"], len(d["run"]["merged_from"])')" "('interrupted', 4)"

job=$(submit long.toml)
running "$job"
scancel "$job"
ended "$job"
expect "scancel, state" "$(state "$job")" CANCELLED
expect "scancel, whole" "$(field "blast-$job/run.json" 'd["verdict"], len(d["run"]["merged_from"])')" "('interrupted', 4)"

more=(--requeue)
job=$(submit long.toml)
running "$job"
scontrol requeue "$job"
for _ in $(seq 100); do
  [ -e "blast-$job/run.json" ] && break
  sleep 0.2
done
expect "requeue, whole of the first run" \
  "$(field "blast-$job/run.json" 'd["verdict"], len(d["run"]["merged_from"])')" "('interrupted', 4)"
scancel "$job"
echo "all checks passed"
