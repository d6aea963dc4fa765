#!/usr/bin/env bash
# Kills runs with a random signal at a random instant, and checks that nothing is left of them.
#
#     scripts/random-kills.sh [N [SEED [BINARY]]]
#
# Runs N tests (default 100), each against a server that it starts itself, on the loopback only.
# After each one, no process of the run may live, its temporary folder must be empty, and its result
# must be whole JSON or missing. Prints its counts. Exits with 1 if anything was left behind.
set -uo pipefail

runs=${1:-100}
RANDOM=${2:-1}
binary=${3:-target/debug/llmsim-blast}
binary=$(realpath "$binary") || exit 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The time of the kill, in percent of the duration of a whole run on this machine.
declare -A from=([starting]=0 [loaded]=30 [ending]=60 [writing]=85)
declare -A until=([starting]=25 [loaded]=60 [ending]=85 [writing]=105)
phases=(starting loaded ending writing)
signals=(KILL TERM INT HUP)
# Time limit for everything that a kill leaves behind: the grace period of a server, plus a margin.
settle_s=6

declare -A killed=()
orphans=0 leftovers=0 broken=0 written=0 ended=0

# Prints every process with the run's mark in its environment, or with its port in its arguments.
# Children inherit the mark, whatever group or session they create. A server has the port even if
# its environment was cleared.
alive() {
    { grep -lsz "^RANDOM_KILLS=$1\$" /proc/[0-9]*/environ; grep -lszx "$2" /proc/[0-9]*/cmdline; } 2>/dev/null |
        cut -d/ -f3 | sort -u | while read -r pid; do
        # A zombie does not run.
        [ "$(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null | cut -c1)" = Z ] || echo "$pid"
    done
}

# Becomes a run with its own port, so that no other server can answer in place of its own.
start() {
    exec env -i PATH="$PATH" HOME="$HOME" TMPDIR="$1/tmp" RANDOM_KILLS="$2" "$binary" smoke --duration 1500ms \
        --port "$3" --output "$1/result.json" >"$1/out" 2>"$1/err"
}

mkdir -p "$work/0/tmp"
begun=$(date +%s%N)
if ! (start "$work/0" "$$-0" 20000) || [ ! -s "$work/0/result.json" ]; then
    echo "a run fails without being killed:" >&2
    cat "$work/0/err" >&2
    exit 2
fi
whole_ms=$((($(date +%s%N) - begun) / 1000000))
echo "a whole run takes $whole_ms ms"

for ((n = 1; n <= runs; n++)); do
    phase=${phases[RANDOM % 4]} signal=${signals[RANDOM % 4]}
    ms=$((whole_ms * (from[$phase] * 10 + RANDOM % ((until[$phase] - from[$phase]) * 10)) / 1000))
    folder=$work/$n mark=$$-$n port=$((20000 + RANDOM % 10000))
    mkdir -p "$folder/tmp"
    start "$folder" "$mark" "$port" &
    pid=$!
    sleep "$((ms / 1000)).$(printf %03d $((ms % 1000)))"
    if kill -s "$signal" "$pid" 2>/dev/null; then
        killed[$signal]=$((${killed[$signal]:-0} + 1))
    else
        ended=$((ended + 1))
    fi
    wait "$pid" 2>/dev/null
    for ((i = 0; i < settle_s * 10; i++)); do
        [ -z "$(alive "$mark" "$port")" ] && break
        sleep 0.1
    done
    left=$(alive "$mark" "$port")
    if [ -n "$left" ]; then
        orphans=$((orphans + 1))
        echo "run $n: $signal after $ms ms ($phase): still alive: $left" >&2
        # Kill only the processes of this run.
        for pid in $left; do kill -KILL "$pid" 2>/dev/null; done
    fi
    if [ -n "$(ls -A "$folder/tmp")" ]; then
        leftovers=$((leftovers + 1))
        echo "run $n: $signal after $ms ms ($phase): left in TMPDIR: $(ls -A "$folder/tmp")" >&2
    fi
    for file in "$folder"/*.json* "$folder"/.*.json*; do
        [ -e "$file" ] || continue
        if [ "$file" = "$folder/result.json" ] && python3 -m json.tool "$file" >/dev/null 2>&1; then
            written=$((written + 1))
        else
            broken=$((broken + 1))
            echo "run $n: $signal after $ms ms ($phase): half-written: $file" >&2
        fi
    done
    rm -rf "$folder"
done

echo "$runs runs: $ended had ended; killed by KILL ${killed[KILL]:-0}, TERM ${killed[TERM]:-0}, INT ${killed[INT]:-0}," \
    "HUP ${killed[HUP]:-0}; $written whole results"
echo "$orphans with orphans, $leftovers with temporary files, $broken with half-written results"
[ $((orphans + leftovers + broken)) -eq 0 ]
