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
  --work DIR          where everything is kept [a folder of the two commits below ${TMPDIR:-/tmp}/llmsim-blast-compare]
  --again             forget what an earlier call has run
  -h, --help          this text

What comes after -- goes to every run, such as: -- --duration 60s --vus 20

Resumable: built binaries and finished runs stay in the work folder, and the next call goes on from there. Ctrl-C ends the run in
progress, takes the work trees out, and keeps what is finished.

  LLMSIM_BLAST_BIN    the llmsim-blast to use [target/release/llmsim-blast, built when it is not there]
  CARGO               the cargo to build with [cargo]; may be several words

Exit code: that of llmsim-blast compare. 0 no gate failed, 99 one did, 110 not comparable; 104 bad arguments, 105 interrupted, and
107 when a build or a run fails.
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
if [[ -n $base_src$head_src ]]; then
  [[ -n $base_src && -n $head_src && -z $source_dir && ${#commits[@]} -eq 0 ]] ||
    die 104 "--base-src and --head-src stand together, and without commits and --server-src"
  base_src=$(cd -- "$base_src" && pwd) || die 104 "--base-src: no such folder"
  head_src=$(cd -- "$head_src" && pwd) || die 104 "--head-src: no such folder"
  name_of() { basename -- "$1" | tr -c 'A-Za-z0-9._\n-' '_'; }
  base_id=$(name_of "$base_src") head_id=$(name_of "$head_src")
  [[ $base_id != "$head_id" ]] || { base_id=base-$base_id head_id=head-$head_id; }
  base_label=$base_id head_label=$head_id
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
fi
((${#gates[@]})) || gates=('ttft.p99>5%' 'tbt.p50>5%' 'http_req_duration.p99>5%' 'error_rate>0.5pp' 'throughput<-5%')

work=${work:-${TMPDIR:-/tmp}/llmsim-blast-compare/${base_id:0:12}-${head_id:0:12}}
mkdir -p -- "$work/bin" "$work/runs"
work=$(cd -- "$work" && pwd)
exec 9>"$work/lock"
flock -n 9 || die 104 "another call is at work in $work"

# ---- tidy, whatever happens ------------------------------------------------------------------------------------------------------

trees=()
child=
# shellcheck disable=SC2317 # called by the traps
tidy() {
  trap - EXIT INT TERM
  if [[ -n $child ]]; then
    # The tool stops its server itself; a second signal would make it hurry.
    kill -TERM "$child" 2>/dev/null && wait "$child" 2>/dev/null
  fi
  rm -f -- "$work"/runs/*.part
  local tree
  for tree in "${trees[@]}"; do
    git -C "$source_dir" worktree remove --force "$tree" 2>/dev/null || rm -rf -- "$tree"
  done
  [[ -z $source_dir ]] || git -C "$source_dir" worktree prune 2>/dev/null || true
}
trap tidy EXIT
trap 'note "interrupted; what is finished is kept in $work"; tidy; exit 105' INT TERM

# Runs a command that a signal can end: bash answers one only between commands, unless it waits.
attended() {
  "$@" 9>&- &
  child=$!
  local code=0
  wait "$child" || code=$?
  child=
  return "$code"
}

# ---- build -----------------------------------------------------------------------------------------------------------------------

read -r -a cargo <<<"${CARGO:-cargo}"
blast=${LLMSIM_BLAST_BIN-}
if [[ -z $blast ]]; then
  blast=${CARGO_TARGET_DIR:-$root/target}/release/llmsim-blast
  [[ -x $blast ]] || attended "${cargo[@]}" build --release --locked --manifest-path "$root/Cargo.toml" >&2 || die 107 "llmsim-blast does not build"
fi
[[ -x $blast ]] || die 104 "$blast is not an executable file"
[[ $blast == */* ]] || blast=./$blast

# $1: base or head; $2: its commit or name; $3: its folder of sources, if it is given.
build() {
  local side=$1 id=$2 sources=$3 binary=$work/bin/llmsim-$2
  # A folder may have changed since; cargo knows what is to be done.
  if [[ -x $binary && -z $sources ]]; then
    note "$side: built already"
    return
  fi
  if [[ -z $sources ]]; then
    sources=$work/$side
    if [[ ! -d $sources ]]; then
      git -C "$source_dir" worktree prune
      git -C "$source_dir" worktree add --quiet --detach --force "$sources" "$id" || die 107 "no work tree of $id"
    fi
    trees+=("$sources")
  fi
  local locked=()
  [[ ! -f $sources/Cargo.lock ]] || locked=(--locked)
  note "$side: building $id"
  # One target folder for both: what they have in common is built once.
  (cd -- "$sources" && CARGO_TARGET_DIR=$work/target exec "${cargo[@]}" build --release "${locked[@]}" --bin llmsim) >&2 9>&- &
  child=$!
  wait "$child" || die 107 "$side ($id) does not build"
  child=
  cp -- "$work/target/release/llmsim" "$binary.part"
  mv -- "$binary.part" "$binary"
}

build base "$base_id" "$base_src"
build head "$head_id" "$head_src"

# ---- run, in turns ---------------------------------------------------------------------------------------------------------------

# Results of other options are not those of this comparison.
asked=$(printf '%s\n' "$profile" "${run_options[@]}" "$("$blast" --version)")
if $again || [[ -f $work/runs/asked && $(<"$work/runs/asked") != "$asked" ]]; then
  note "starting over: $($again && echo "as asked" || echo "the options have changed")"
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
  attended "$blast" "$profile" --server-bin "$work/bin/llmsim-$id" --quiet --tag "commit=$label" "${run_options[@]}" \
    --output "$result.part" >"$work/runs/$side-$number.txt" || code=$?
  case $code in
    # A threshold that fails is a result, too.
    0 | 99) mv -- "$result.part" "$result" ;;
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

arguments=(compare --base "${base_files[@]}" --head "${head_files[@]}" --md "$work/compare.md" --output "$work/compare.json")
for gate in "${gates[@]}"; do arguments+=(--fail-on "$gate"); done
! $paired || arguments+=(--paired)
code=0
"$blast" "${arguments[@]}" || code=$?
case $code in
  0 | 99)
    [[ -z $md ]] || cp -- "$work/compare.md" "$md"
    [[ -z $json ]] || cp -- "$work/compare.json" "$json"
    note "Markdown, JSON and all runs are in $work"
    ;;
esac
exit "$code"
