#!/usr/bin/env bash
# Is one commit of llmsim slower than another? Builds both, runs them in turns, compares the results.

set -euo pipefail

usage() {
  cat <<'END'
usage: scripts/compare-commits.sh BASE HEAD --server-src DIR [OPTIONS] [-- LLMSIM-BLAST OPTIONS]
       scripts/compare-commits.sh --base-src DIR --head-src DIR [OPTIONS] [-- …]

Two commits (or tags, or branches) of the git repository DIR are checked out in work trees of their own, built, and run in turns,
A B A B …, each run against a fresh server. Then `llmsim-blast compare` judges. DIR itself is not touched, but for the two work trees
in its list, which are taken out again. With --base-src and --head-src two folders of sources are built as they are.

  --runs N            runs a side, 3 to 100 [5]
  --profile P         profile, or TOML file [load]
  --fail-on GATE      may be repeated [ttft.p99>5%, tbt.p50>5%, http_req_duration.p99>5%, error_rate>0.5pp, throughput<-5%]
  --paired            judge pairs of neighbouring runs (from 5 runs on)
  --md FILE           the comparison as Markdown; always in the work folder as well
  --output FILE       the same as JSON
  --work DIR          where everything is kept [a folder for these two below ${TMPDIR:-/tmp}/llmsim-blast-compare]
  --again             forget what an earlier call has run
  -h, --help          this text

What comes after -- goes to every run, such as: -- --duration 60s --vus 20

Resumable: built binaries (of commits) and finished runs stay in the work folder, and the next call goes on from there; when binaries,
options or environment are others, the runs start over. Ctrl-C ends the run in progress, takes the work trees out, and keeps what is
finished.

  LLMSIM_BLAST_BIN    the llmsim-blast to use [target/release/llmsim-blast, built when it is not there]
  CARGO               the cargo to build with [cargo]; may be several words

Exit code: that of llmsim-blast compare. 0 no gate failed, 99 one did, 110 not comparable, or too few samples for a gate; 104 bad
arguments, 105 interrupted, and 107 when a build or a run fails.
END
}

die() {
  local code=$1
  shift
  echo "compare-commits.sh: $*" >&2
  exit "$code"
}

note() {
  echo "compare-commits.sh: $*" >&2
}

# ---- arguments -------------------------------------------------------------------------------------------------------------------

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
runs=5
profile=load
source_dir='' base_src='' head_src='' work='' md='' json=''
again=false paired=false
commits=() gates=() run_options=()

while (($#)); do
  case $1 in
    -h | --help)
      usage
      exit 0
      ;;
    --runs | --profile | --fail-on | --md | --output | --work | --server-src | --base-src | --head-src)
      [[ -n ${2-} ]] || die 104 "$1 needs a value"
      case $1 in
        --runs) runs=$2 ;;
        --profile) profile=$2 ;;
        --fail-on) gates+=("$2") ;;
        --md) md=$2 ;;
        --output) json=$2 ;;
        --work) work=$2 ;;
        --server-src) source_dir=$2 ;;
        --base-src) base_src=$2 ;;
        --head-src) head_src=$2 ;;
      esac
      shift
      ;;
    --paired) paired=true ;;
    --again) again=true ;;
    --)
      shift
      run_options=("$@")
      break
      ;;
    -*) die 104 "unknown option $1; see --help" ;;
    *) commits+=("$1") ;;
  esac
  shift
done

if [[ ! $runs =~ ^[0-9]{1,3}$ ]] || ((10#$runs < 3 || 10#$runs > 100)); then
  die 104 "--runs takes a number from 3 to 100, not '$runs'"
fi
runs=$((10#$runs))
if [[ -n $base_src$head_src ]]; then
  [[ -n $base_src && -n $head_src && -z $source_dir && ${#commits[@]} -eq 0 ]] ||
    die 104 "--base-src and --head-src stand together, and without commits and --server-src"
  base_src=$(cd -- "$base_src" 2>/dev/null && pwd) || die 104 "--base-src: no such folder"
  head_src=$(cd -- "$head_src" 2>/dev/null && pwd) || die 104 "--head-src: no such folder"
  name_of() { basename -- "$1" | tr -c 'A-Za-z0-9._\n-' '_'; }
  base_id=$(name_of "$base_src") head_id=$(name_of "$head_src")
  [[ $base_id != "$head_id" ]] || { base_id=base-$base_id head_id=head-$head_id; }
  base_label=$base_id head_label=$head_id
  # Many folders have the same name.
  pair=${base_id:0:12}-${head_id:0:12}-$(printf '%s\n' "$base_src" "$head_src" | sha256sum | cut -c 1-12)
else
  [[ ${#commits[@]} -eq 2 && -n $source_dir ]] || die 104 "expected BASE HEAD --server-src DIR; see --help"
  git -C "$source_dir" rev-parse --git-dir >/dev/null 2>&1 || die 104 "--server-src $source_dir is no git repository"
  resolve() { git -C "$source_dir" rev-parse --verify --quiet --end-of-options "$1^{commit}" || die 104 "no commit '$1' in $source_dir"; }
  base_id=$(resolve "${commits[0]}")
  head_id=$(resolve "${commits[1]}")
  [[ $base_id != "$head_id" ]] || die 104 "${commits[0]} and ${commits[1]} are the same commit"
  label() { [[ $2 == "$1"* ]] && echo "${2:0:12}" || echo "$1 (${2:0:12})"; }
  base_label=$(label "${commits[0]}" "$base_id") head_label=$(label "${commits[1]}" "$head_id")
  source_dir=$(cd -- "$source_dir" && pwd)
  pair=${base_id:0:12}-${head_id:0:12}
fi
((${#gates[@]})) || gates=('ttft.p99>5%' 'tbt.p50>5%' 'http_req_duration.p99>5%' 'error_rate>0.5pp' 'throughput<-5%')

# What `compare` would say only after all runs.
! $paired || ((runs >= 5)) || die 104 "--paired needs 5 runs or more"

work=${work:-${TMPDIR:-/tmp}/llmsim-blast-compare/$pair}
reason=$(mkdir -p -- "$work/bin" "$work/runs" 2>&1) || die 104 "--work: ${reason#mkdir: }"
[[ -w $work ]] || die 104 "--work: $work cannot be written to"
work=$(cd -- "$work" && pwd)
for file in "$md" "$json"; do
  [[ $file != - ]] || die 104 "--md and --output take a file, not -"
  [[ -z $file || (-d $(dirname -- "$file") && ! -d $file) ]] || die 104 "$file cannot be a file: there is no such folder, or it is one"
done
exec 9>"$work/lock"
flock -n 9 || die 104 "another call is at work in $work"

# ---- tidy, whatever happens ------------------------------------------------------------------------------------------------------

# Takes a work tree away, even one whose making was interrupted (git keeps that locked). What is no work tree is not ours.
remove_tree() {
  [[ -f $1/.git ]] || return 0
  git -C "$source_dir" worktree remove --force --force "$1" 2>/dev/null || rm -rf -- "$1"
}

# shellcheck disable=SC2317 # called by the traps
tidy() {
  # Nothing may end this half-way: no second signal, no reader of our messages that has gone, no command that fails.
  trap '' INT TERM HUP PIPE
  trap - EXIT
  set +e
  local child tenth
  for child in $(jobs -pr); do
    # The tool stops its server itself. cargo leaves its compilers behind: they are in its group.
    kill -TERM "$child"
    for ((tenth = 0; tenth < 100; tenth++)); do
      kill -0 "$child" || break
      sleep 0.1
    done
    kill -KILL -- "-$child"
  done 2>/dev/null
  rm -f -- "$work"/runs/*.part "$work"/bin/*.part
  if [[ -n $source_dir ]]; then
    remove_tree "$work/base"
    remove_tree "$work/head"
    git -C "$source_dir" worktree prune 2>/dev/null
  fi
}

# shellcheck disable=SC2317 # called by the traps
interrupted() {
  trap '' INT TERM HUP PIPE
  set +e
  note "interrupted; what is finished is kept in $work"
  tidy
  exit 105
}
trap tidy EXIT
trap interrupted INT TERM HUP

# Runs a command that a signal can end: bash answers one only between commands, unless it waits. In a session of its own it does not get
# the terminal's Ctrl-C, which would be the first of two signals, and a second one makes the tool hurry. Should we be killed, it ends, too.
attended() {
  setsid setpriv --pdeathsig TERM -- "$@" 9>&- &
  wait $!
}

# ---- the tool, and whether it understands its orders -----------------------------------------------------------------------------

read -r -a cargo <<<"${CARGO:-cargo}"
blast=${LLMSIM_BLAST_BIN-}
if [[ -z $blast ]]; then
  blast=${CARGO_TARGET_DIR:-$root/target}/release/llmsim-blast
  [[ -f $blast && -x $blast ]] || attended "${cargo[@]}" build --release --locked --manifest-path "$root/Cargo.toml" >&2 ||
    die 107 "llmsim-blast does not build"
fi
[[ -f $blast && -x $blast ]] || die 104 "$blast is not an executable file"
[[ $blast == */* ]] || blast=./$blast

# Sets `order`, a call of the tool. $1: the id of a side, $2: its label, $3: file for the result; what follows is appended.
set_order() {
  order=("$blast" "$profile" --server-bin "$work/bin/llmsim-$1" --quiet --tag "commit=$2" "${run_options[@]}" --output "$3" "${@:4}")
}
set_order "$base_id" "$base_label" "$work/runs/base-1.json.part" --show-config
reason=$("${order[@]}" 2>&1 >/dev/null) || die 104 "${reason#error: }"

judge=(compare)
for gate in "${gates[@]}"; do judge+=(--fail-on "$gate"); done
code=0
# A gate that is not understood ends with 2, before any file is read.
reason=$("$blast" "${judge[@]}" /dev/null /dev/null 2>&1 >/dev/null) || code=$?
((code != 2)) || die 104 "${reason#error: }"

# ---- build -----------------------------------------------------------------------------------------------------------------------

# $1: base or head; $2: its commit or name; $3: its folder of sources, if it is given.
build() {
  local side=$1 id=$2 sources=$3 binary=$work/bin/llmsim-$2
  # A folder may have changed since, and is built with every call.
  if [[ -x $binary && -z $sources ]]; then
    note "$side: built already"
    return
  fi
  if [[ -z $sources ]]; then
    sources=$work/$side
    # One that is left over from a call that was killed may be of another commit.
    remove_tree "$sources"
    git -C "$source_dir" worktree add --quiet --detach --force --force "$sources" "$id" || die 107 "no work tree of $id"
  fi
  local locked=() in_sources=(env -C "$sources" CARGO_TARGET_DIR="$work/target" "${cargo[@]}")
  [[ ! -f $sources/Cargo.lock ]] || locked=(--locked)
  note "$side: building $id"
  # One target folder for both: what they depend on is built once. But cargo takes llmsim in two folders for one and the same, and would
  # not build the second: it has to forget the first.
  attended "${in_sources[@]}" clean --quiet --release "${locked[@]}" -p llmsim >&2 || die 107 "$side ($id): cargo clean failed"
  attended "${in_sources[@]}" build --release "${locked[@]}" --bin llmsim >&2 || die 107 "$side ($id) does not build"
  cp -- "$work/target/release/llmsim" "$binary.part" || die 107 "$side ($id): the build left no target/release/llmsim"
  mv -- "$binary.part" "$binary"
}

# What an earlier call has compared is not the answer to this one.
rm -f -- "$work/compare.md" "$work/compare.json"
build base "$base_id" "$base_src"
build head "$head_id" "$head_src"
! cmp -s -- "$work/bin/llmsim-$base_id" "$work/bin/llmsim-$head_id" ||
  note "both binaries are the same to the byte: whatever differs is noise"

# ---- run, in turns ---------------------------------------------------------------------------------------------------------------

# What a run depends on. Results of anything else are not those of this comparison. Only a hash is kept: there may be keys among it.
conditions() {
  printf '%s\n' "$base_id" "$head_id" "$profile" "${run_options[@]}"
  env -0 | grep -zE '^(LLMSIM_BLAST|K6)_' | grep -zv '^LLMSIM_BLAST_BIN=' | sort -z
  local file
  for file in "$blast" "$work/bin/llmsim-$base_id" "$work/bin/llmsim-$head_id" "$profile" "${run_options[@]#*=}"; do
    [[ ! -f $file ]] || sha256sum <"$file"
  done
}
asked=$(conditions | sha256sum)
if $again || [[ -f $work/runs/asked && $(<"$work/runs/asked") != "$asked" ]]; then
  note "starting over: $($again && echo "as asked" || echo "binaries, options or environment have changed")"
  rm -f -- "$work"/runs/*
fi
printf '%s\n' "$asked" >"$work/runs/asked"

# A port of our own: nothing that happens to listen is taken for the server.
one_run() {
  local side=$1 id=$2 label=$3 number=$4
  local result=$work/runs/$side-$number.json
  [[ ! -s $result ]] || return 0
  note "run $number of $runs: $side"
  local code=0
  set_order "$id" "$label" "$result.part"
  attended "${order[@]}" >"$work/runs/$side-$number.txt" || code=$?
  case $code in
    # A threshold that fails is a result, too.
    0 | 99) mv -- "$result.part" "$result" || die 107 "$side, run $number: llmsim-blast left no result" ;;
    *) die 107 "$side, run $number: llmsim-blast ended with $code; see $work/runs/$side-$number.txt" ;;
  esac
}

base_files=() head_files=()
for ((number = 1; number <= runs; number++)); do
  one_run base "$base_id" "$base_label" "$number"
  one_run head "$head_id" "$head_label" "$number"
  base_files+=("$work/runs/base-$number.json")
  head_files+=("$work/runs/head-$number.json")
done

# ---- compare ---------------------------------------------------------------------------------------------------------------------

judge+=(--base "${base_files[@]}" --head "${head_files[@]}" --md "$work/compare.md" --output "$work/compare.json")
! $paired || judge+=(--paired)
code=0
attended "$blast" "${judge[@]}" || code=$?

# Also a comparison that could not judge every gate (110) is written. A copy that fails does not change what it says.
keep() {
  [[ ! -f $1 || -z $2 || $1 -ef $2 ]] || cp -- "$1" "$2" || note "$2 is not written; it is in $1"
}
keep "$work/compare.md" "$md"
keep "$work/compare.json" "$json"
[[ ! -f $work/compare.md ]] || note "Markdown, JSON and all runs are in $work"
exit "$code"
