#!/usr/bin/env bash
# Compares the speed of two commits of llmsim: builds both, runs them in turns, and compares the
# results.

set -euo pipefail

usage() {
  cat <<'END'
usage: scripts/compare-commits.sh BASE HEAD --server-src DIR [OPTIONS]
       [-- LLMSIM-BLAST OPTIONS]
       scripts/compare-commits.sh --base-src DIR --head-src DIR [OPTIONS] [-- …]

Two commits, tags or branches of the git repository DIR are checked out in
separate work trees, built, and run in turns (A B A B …), each run against a
fresh server. `llmsim-blast compare` then judges the results. DIR itself is not
changed, except that two work trees are added to its list and removed again.
With --base-src and --head-src, two source folders are built as they are.

  --runs N            runs per side, 3 to 100 [5]
  --profile P         profile or TOML file [load]
  --fail-on GATE      gate, may be repeated [ttft.p99>5%, tbt.p50>5%,
                      http_req_duration.p99>5%, error_rate>0.5pp,
                      throughput<-5%]
  --paired            judge pairs of neighbouring runs (requires 5 runs or more)
  --md FILE           write the comparison as Markdown (a copy is always in the
                      work folder)
  --output FILE       write the comparison as JSON
  --work DIR          work folder [one per pair of commits, below
                      ${TMPDIR:-/tmp}/llmsim-blast-compare]
  --again             discard the runs of an earlier call
  -h, --help          print this help

Options after -- are passed to every run, for example:
-- --duration 60s --vus 20

The script can be interrupted and called again. Built binaries and finished runs
stay in the work folder, and the next call continues from there. If binaries,
options or environment have changed, the runs start over. Ctrl-C ends the run in
progress, removes the work trees, and keeps the finished runs.

  LLMSIM_BLAST_BIN    llmsim-blast binary [target/release/llmsim-blast, built if
                      it is missing]
  CARGO               cargo command, may be several words [cargo]

Exit codes are those of llmsim-blast compare: 0 no gate failed, 99 a gate
failed, 110 not comparable or too few samples for a gate. In addition: 104
invalid arguments, 105 interrupted, 107 a build or a run failed.
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

# ---- arguments -----------------------------------------------------------------------------------

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
      [[ -n ${2-} ]] || die 104 "$1 requires a value"
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
  die 104 "invalid value '$runs' for --runs: expected a number from 3 to 100"
fi
runs=$((10#$runs))
if [[ -n $base_src$head_src ]]; then
  [[ -n $base_src && -n $head_src && -z $source_dir && ${#commits[@]} -eq 0 ]] ||
    die 104 "--base-src and --head-src must be used together, without commits and --server-src"
  base_src=$(cd -- "$base_src" 2>/dev/null && pwd) || die 104 "--base-src: the folder does not exist"
  head_src=$(cd -- "$head_src" 2>/dev/null && pwd) || die 104 "--head-src: the folder does not exist"
  name_of() { basename -- "$1" | tr -c 'A-Za-z0-9._\n-' '_'; }
  base_id=$(name_of "$base_src") head_id=$(name_of "$head_src")
  [[ $base_id != "$head_id" ]] || { base_id=base-$base_id head_id=head-$head_id; }
  base_label=$base_id head_label=$head_id
  # Different folders may have the same name.
  pair=${base_id:0:12}-${head_id:0:12}-$(printf '%s\n' "$base_src" "$head_src" | sha256sum | cut -c 1-12)
else
  [[ ${#commits[@]} -eq 2 && -n $source_dir ]] || die 104 "expected BASE HEAD --server-src DIR; see --help"
  git -C "$source_dir" rev-parse --git-dir >/dev/null 2>&1 || die 104 "--server-src $source_dir is not a git repository"
  resolve() { git -C "$source_dir" rev-parse --verify --quiet --end-of-options "$1^{commit}" || die 104 "$source_dir has no commit '$1'"; }
  base_id=$(resolve "${commits[0]}")
  head_id=$(resolve "${commits[1]}")
  [[ $base_id != "$head_id" ]] || die 104 "${commits[0]} and ${commits[1]} are the same commit"
  label() { [[ $2 == "$1"* ]] && echo "${2:0:12}" || echo "$1 (${2:0:12})"; }
  base_label=$(label "${commits[0]}" "$base_id") head_label=$(label "${commits[1]}" "$head_id")
  source_dir=$(cd -- "$source_dir" && pwd)
  pair=${base_id:0:12}-${head_id:0:12}
fi
((${#gates[@]})) || gates=('ttft.p99>5%' 'tbt.p50>5%' 'http_req_duration.p99>5%' 'error_rate>0.5pp' 'throughput<-5%')

# `compare` would report this only after all runs.
! $paired || ((runs >= 5)) || die 104 "--paired requires 5 runs or more"

work=${work:-${TMPDIR:-/tmp}/llmsim-blast-compare/$pair}
reason=$(mkdir -p -- "$work/bin" "$work/runs" 2>&1) || die 104 "--work: ${reason#mkdir: }"
[[ -w $work ]] || die 104 "--work: $work is not writable"
work=$(cd -- "$work" && pwd)
for file in "$md" "$json"; do
  [[ $file != - ]] || die 104 "--md and --output require a file, not -"
  [[ -z $file || (-d $(dirname -- "$file") && ! -d $file) ]] || die 104 "$file cannot be written: its folder does not exist, or it is a folder itself"
done
exec 9>"$work/lock"
flock -n 9 || die 104 "another call is using $work"

# ---- clean up, however the script ends -----------------------------------------------------------

# Removes a work tree, even a half-made one, which git keeps locked. A folder that is not a work
# tree is left alone.
remove_tree() {
  [[ -f $1/.git ]] || return 0
  git -C "$source_dir" worktree remove --force --force "$1" 2>/dev/null || rm -rf -- "$1"
}

# shellcheck disable=SC2317 # called by the traps
tidy() {
  # Do not stop half-way: not on a second signal, a closed pipe, or a failing command.
  trap '' INT TERM HUP PIPE
  trap - EXIT
  set +e
  local child tenth
  for child in $(jobs -pr); do
    # llmsim-blast stops its server itself. cargo leaves its compilers behind, so the whole group is
    # killed.
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
  note "interrupted; finished runs are kept in $work"
  tidy
  exit 105
}
trap tidy EXIT
trap interrupted INT TERM HUP

# Runs a command so that a signal can end it: bash handles signals only between commands, unless it
# waits. In a session of its own, the command does not receive the terminal's Ctrl-C in addition to
# our signal; a second signal would end it at once. If this script is killed, the command ends as
# well.
attended() {
  setsid setpriv --pdeathsig TERM -- "$@" 9>&- &
  wait $!
}

# ---- check the tool and its options --------------------------------------------------------------

read -r -a cargo <<<"${CARGO:-cargo}"
blast=${LLMSIM_BLAST_BIN-}
if [[ -z $blast ]]; then
  blast=${CARGO_TARGET_DIR:-$root/target}/release/llmsim-blast
  [[ -f $blast && -x $blast ]] || attended "${cargo[@]}" build --release --locked --manifest-path "$root/Cargo.toml" >&2 ||
    die 107 "llmsim-blast could not be built"
fi
[[ -f $blast && -x $blast ]] || die 104 "$blast is not an executable file"
[[ $blast == */* ]] || blast=./$blast

# Sets `order`, a call of llmsim-blast. $1: id of a side, $2: its label, $3: result file. Further
# arguments are appended.
set_order() {
  order=("$blast" "$profile" --server-bin "$work/bin/llmsim-$1" --quiet --tag "commit=$2" "${run_options[@]}" --output "$3" "${@:4}")
}
set_order "$base_id" "$base_label" "$work/runs/base-1.json.part" --show-config
reason=$("${order[@]}" 2>&1 >/dev/null) || die 104 "${reason#error: }"

judge=(compare)
for gate in "${gates[@]}"; do judge+=(--fail-on "$gate"); done
code=0
# An invalid gate exits with 2 before any file is read.
reason=$("$blast" "${judge[@]}" /dev/null /dev/null 2>&1 >/dev/null) || code=$?
((code != 2)) || die 104 "${reason#error: }"

# ---- build ---------------------------------------------------------------------------------------

# $1: base or head, $2: its commit or name, $3: its source folder, if given.
build() {
  local side=$1 id=$2 sources=$3 binary=$work/bin/llmsim-$2
  # A source folder may have changed and is built on every call.
  if [[ -x $binary && -z $sources ]]; then
    note "$side: built already"
    return
  fi
  if [[ -z $sources ]]; then
    sources=$work/$side
    # A work tree left behind by a killed call may be of another commit.
    remove_tree "$sources"
    git -C "$source_dir" worktree add --quiet --detach --force --force "$sources" "$id" || die 107 "could not create a work tree of $id"
  fi
  local locked=() in_sources=(env -C "$sources" CARGO_TARGET_DIR="$work/target" "${cargo[@]}")
  [[ ! -f $sources/Cargo.lock ]] || locked=(--locked)
  note "$side: building $id"
  # Both share a target folder, so their dependencies are built once. cargo would take llmsim in two
  # folders for the same package and not build the second, so the first is cleaned.
  attended "${in_sources[@]}" clean --quiet --release "${locked[@]}" -p llmsim >&2 || die 107 "$side ($id): cargo clean failed"
  attended "${in_sources[@]}" build --release "${locked[@]}" --bin llmsim >&2 || die 107 "$side ($id) could not be built"
  cp -- "$work/target/release/llmsim" "$binary.part" || die 107 "$side ($id): the build did not produce target/release/llmsim"
  mv -- "$binary.part" "$binary"
}

# The comparison of an earlier call must not be taken for this one's.
rm -f -- "$work/compare.md" "$work/compare.json"
build base "$base_id" "$base_src"
build head "$head_id" "$head_src"
! cmp -s -- "$work/bin/llmsim-$base_id" "$work/bin/llmsim-$head_id" ||
  note "both binaries are identical: any difference is noise"

# ---- run, in turns -------------------------------------------------------------------------------

# Prints everything a run depends on. Results of other conditions do not belong to this comparison.
# Only a hash is kept, because it may contain keys.
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
  note "starting over: $($again && echo "as requested" || echo "binaries, options or environment have changed")"
  rm -f -- "$work"/runs/*
fi
printf '%s\n' "$asked" >"$work/runs/asked"

one_run() {
  local side=$1 id=$2 label=$3 number=$4
  local result=$work/runs/$side-$number.json
  [[ ! -s $result ]] || return 0
  note "run $number of $runs: $side"
  local code=0
  set_order "$id" "$label" "$result.part"
  attended "${order[@]}" >"$work/runs/$side-$number.txt" || code=$?
  case $code in
    # A failed threshold is a result as well.
    0 | 99) mv -- "$result.part" "$result" || die 107 "$side, run $number: llmsim-blast did not write a result" ;;
    *) die 107 "$side, run $number: llmsim-blast exited with $code; see $work/runs/$side-$number.txt" ;;
  esac
}

base_files=() head_files=()
for ((number = 1; number <= runs; number++)); do
  one_run base "$base_id" "$base_label" "$number"
  one_run head "$head_id" "$head_label" "$number"
  base_files+=("$work/runs/base-$number.json")
  head_files+=("$work/runs/head-$number.json")
done

# ---- compare -------------------------------------------------------------------------------------

judge+=(--base "${base_files[@]}" --head "${head_files[@]}" --md "$work/compare.md" --output "$work/compare.json")
! $paired || judge+=(--paired)
code=0
attended "$blast" "${judge[@]}" || code=$?

# A comparison that could not judge every gate (110) is kept as well. A failed copy does not change
# the exit code.
keep() {
  [[ ! -f $1 || -z $2 || $1 -ef $2 ]] || cp -- "$1" "$2" || note "$2 could not be written; the comparison is in $1"
}
keep "$work/compare.md" "$md"
keep "$work/compare.json" "$json"
[[ ! -f $work/compare.md ]] || note "Markdown, JSON and all runs are in $work"
exit "$code"
