#!/usr/bin/env bash
# Posts a comparison as a comment on a pull request, or updates the existing comment.

set -euo pipefail

usage() {
  cat <<'END'
usage: comment.sh FILE

Writes the Markdown in FILE, made by `llmsim-blast compare --md`, as a comment
of the pull request of this workflow run. The comment of an earlier run is
updated, so that there is only one. Without a pull request nothing is done.

  GITHUB_EVENT_PATH   event of the run, as GitHub Actions sets it
  GITHUB_REPOSITORY   OWNER/NAME, as GitHub Actions sets it
  GH_TOKEN            token with the permission pull-requests: write

Exit codes: 0 written, or not possible here (no pull request, one from a fork,
no FILE); 104 invalid arguments; 107 GitHub refused it.
END
}

die() {
  local code=$1
  shift
  echo "comment.sh: $*" >&2
  exit "$code"
}

note() {
  echo "comment.sh: $*" >&2
  exit 0
}

case "${1-}" in
  -h | --help)
    usage
    exit 0
    ;;
  '' | -*) die 104 "expected one FILE: see --help" ;;
esac
[[ $# -eq 1 ]] || die 104 "expected one FILE: see --help"
file=$1
: "${GITHUB_REPOSITORY:?is not set: expected OWNER/NAME}"
marker='<!-- llmsim-blast:compare -->'
[[ -s "$file" ]] || note "$file is empty or missing: there was nothing to compare"
[[ "$(head -n 1 -- "$file")" == "$marker" ]] || die 104 "$file does not begin with $marker: expected the file of --md"

event=${GITHUB_EVENT_PATH:-/nonexistent}
[[ -f "$event" ]] || note "the file of GITHUB_EVENT_PATH is missing"
number=$(jq -r '.pull_request.number // empty' "$event")
[[ "$number" =~ ^[0-9]+$ ]] || note "this run does not belong to a pull request"
# The token of a run from a fork may not write.
[[ "$(jq -r '.pull_request.head.repo.full_name // empty' "$event")" == "$GITHUB_REPOSITORY" ]] ||
  note "pull request $number is from a fork, whose runs cannot comment"

comments=repos/$GITHUB_REPOSITORY/issues/$number/comments
listed=$(gh api --paginate "$comments") || die 107 "the comments of pull request $number could not be listed"
# Anyone can write the marker, but not as this user. Each page is a list, and the lists follow each
# other.
known=$(jq -rs --arg marker "$marker" '[.[][] | select(.user.login == "github-actions[bot]")
    | select(.body | startswith($marker)) | .id][0] // empty' <<< "$listed") ||
  die 107 "the comments of pull request $number could not be parsed"
if [[ -n "$known" ]]; then
  gh api --method PATCH "repos/$GITHUB_REPOSITORY/issues/comments/$known" --field "body=@$file" > /dev/null ||
    die 107 "comment $known could not be updated"
else
  gh api --method POST "$comments" --field "body=@$file" > /dev/null ||
    die 107 "pull request $number could not be commented on"
fi
