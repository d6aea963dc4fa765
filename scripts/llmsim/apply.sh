#!/usr/bin/env bash
# Replaces the k6 suite in a checkout of llmsim.

set -euo pipefail

usage() {
  cat <<'END'
usage: scripts/llmsim/apply.sh DIR

Changes the llmsim checkout in DIR, whose work tree has to be clean:

  - removes benchmarks/k6
  - copies scripts/llmsim/files over it: drop-in scripts, a workflow, the
    load-test skill, and the page on load testing
  - adds the recipes smoke, bench, throughput and bench-compare to the justfile,
    unless it has recipes of these names
  - replaces k6 where lists of files and skills name it

Prints the files that still name k6 or oha. Nothing is committed. A second call
changes nothing.

Exit codes: 0 applied, 104 DIR is not a clean checkout of llmsim.
END
}

die() {
  echo "apply.sh: $*" >&2
  exit 104
}

case "${1-}" in
  -h | --help)
    usage
    exit 0
    ;;
  '' | -*) die "expected one DIR: see --help" ;;
esac
[[ $# -eq 1 ]] || die "expected one DIR: see --help"
dir=$1
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
grep -qs '^name = "llmsim"$' "$dir/Cargo.toml" || die "$dir is not a checkout of llmsim: expected its Cargo.toml"
marker='# Load tests, by llmsim-blast.'
if [[ -e "$dir/.git" ]] && ! grep -qsF "$marker" "$dir/justfile"; then
  [[ -z "$(git -C "$dir" status --porcelain)" ]] || die "the work tree of $dir is not clean: commit or stash its changes"
fi

rm -rf -- "$dir/benchmarks/k6"
cp -R -- "$here/files/." "$dir/"
cp -- "$here/../action/install.sh" "$dir/benchmarks/lib/install.sh"

# The page is in specs/ up to llmsim 0.5, and in knowledge/ since 0.6.
page=specs/load-testing.md
if [[ -d "$dir/knowledge" ]]; then
  page=knowledge/performance/load-testing.md
fi
mkdir -p "$dir/${page%/*}"
mv -- "$dir/load-testing.md" "$dir/$page"
sed -i "s#@PAGE@#$page#" "$dir/benchmarks/README.md" "$dir/.claude/skills/load-test/SKILL.md"

if ! grep -qsF "$marker" "$dir/justfile"; then
  printf '\n%s\n' "$marker" >> "$dir/justfile"
  recipe() {
    local name=$1 comment=$2 command=$3
    if grep -qE "^@?$name( [^:]*)?:" "$dir/justfile"; then
      echo "apply.sh: the justfile has a recipe '$name' already: left as it is" >&2
    else
      printf '\n# %s\n%s *ARGS:\n    ./benchmarks/%s {{ARGS}}\n' "$comment" "$name" "$command" >> "$dir/justfile"
    fi
  }
  recipe smoke "Check every endpoint, in less than 30 s" smoke-test.sh
  recipe bench "Run a load profile, such as load, stress or spike" run-benchmark.sh
  recipe throughput "Measure the peak request rate by number of worker threads" throughput.sh
  recipe bench-compare "Compare this checkout with the stored baseline" compare-baseline.sh
fi

edit() {
  local file=$dir/$1
  [[ ! -f "$file" ]] || sed -i "$2" "$file"
}
edit AGENTS.md 's/\busing k6\b/with llmsim-blast/; s/(k6)$/(llmsim-blast)/'
edit knowledge/performance/index.md 's/- k6 load and/- Load and/'
for file in knowledge/foundations/architecture.md specs/architecture.md; do
  edit "$file" '/─ k6\//d; s/(k6)$/(llmsim-blast)/'
done

echo "Files that still name k6 or oha, with the number of lines:"
grep -rcwI --exclude-dir={.git,target,node_modules} --exclude={CHANGELOG.md,package-lock.json,Cargo.lock} -e k6 -e oha \
  "$dir" | grep -v -e ':0$' -e "$page:" || echo "none"
