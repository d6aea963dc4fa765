#!/usr/bin/env bash
# Downloads the newest artifact with the given name from a run on the given branch.

set -euo pipefail

usage() {
  cat <<'END'
usage: baseline.sh --artifact NAME --branch BRANCH --dir DIR

Downloads the newest artifact NAME of a run on BRANCH to DIR by `gh`. DIR stays
empty if there is none yet: a first run has nothing to be compared with.

  GITHUB_REPOSITORY   OWNER/NAME, as GitHub Actions sets it
  GH_TOKEN            token that may read the actions of the repository

Exit codes: 0 downloaded, or there is none; 104 invalid arguments; 107 GitHub
did not respond.
END
}

die() {
  local code=$1
  shift
  echo "baseline.sh: $*" >&2
  exit "$code"
}

artifact='' branch='' dir=''
while [[ $# -gt 0 ]]; do
  case "$1" in
    --artifact | --branch | --dir)
      [[ $# -ge 2 ]] || die 104 "$1 needs a value: see --help"
      printf -v "${1#--}" '%s' "$2"
      shift 2
      ;;
    -h | --help)
      usage
      exit 0
      ;;
    *) die 104 "unknown argument '$1': see --help" ;;
  esac
done
[[ -n "$artifact" && -n "$branch" && -n "$dir" ]] || die 104 "--artifact, --branch and --dir are needed: see --help"
: "${GITHUB_REPOSITORY:?is not set: expected OWNER/NAME}"

mkdir -p "$dir"
listed=$(gh api --method GET "repos/$GITHUB_REPOSITORY/actions/artifacts" --field "name=$artifact" --field per_page=100) ||
  die 107 "the artifacts of $GITHUB_REPOSITORY could not be listed"
# A pull request from a fork may have a branch with the same name. Its artifacts are ignored.
run=$(jq -r --arg branch "$branch" '[.artifacts[] | select(.expired | not)
    | select(.workflow_run.head_branch == $branch)
    | select(.workflow_run.head_repository_id == .workflow_run.repository_id)]
  | max_by(.created_at) | .workflow_run.id // empty' <<< "$listed") ||
  die 107 "the list of artifacts could not be parsed"
if [[ -z "$run" ]]; then
  echo "baseline.sh: no run on $branch has an artifact named $artifact" >&2
  exit 0
fi
gh run download "$run" --repo "$GITHUB_REPOSITORY" --name "$artifact" --dir "$dir" ||
  die 107 "the artifact $artifact of run $run could not be downloaded"
