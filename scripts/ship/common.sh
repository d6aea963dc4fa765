#!/usr/bin/env bash
# Shared functions and variables of the scripts in this folder. This file is sourced.

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
# The folder of the results. It is outside cargo's target folder, which may be a cache.
: "${out:=$root/target/ship}"
# The version in Cargo.toml.
# shellcheck disable=SC2034
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$root/Cargo.toml" | head -n 1)

# Ends the script with a message: die CODE TEXT.
die() {
  local code=$1
  shift
  echo "${0##*/}: $*" >&2
  exit "$code"
}

# Ends the script unless all named programs are installed.
need() {
  local program
  for program; do
    command -v "$program" >/dev/null || die 107 "$program is required, and is not installed"
  done
}

# Reads the value of a flag: value "$@" prints $2, or reports that it is missing.
value() {
  [[ $# -ge 2 ]] || die 104 "$1 needs a value: see --help"
  printf '%s' "$2"
}

# Every date in an artefact is the date of the commit, so that a second build gives the same bytes.
if [[ -z ${SOURCE_DATE_EPOCH-} ]]; then
  SOURCE_DATE_EPOCH=$(git -C "$root" log -1 --format=%ct 2>/dev/null) || SOURCE_DATE_EPOCH=0
fi
export SOURCE_DATE_EPOCH

# Prints the triple that cargo builds for on this machine with the given C library: triple musl|gnu.
triple() {
  printf '%s-unknown-linux-%s' "$(uname -m)" "$1"
}

# Checks that the value of --binary is an executable file.
need_binary() {
  [[ -n $1 ]] || die 104 "--binary is missing: expected a file, such as target/release/llmsim-blast"
  [[ -f $1 && -x $1 ]] || die 104 "invalid value '$1' for --binary: expected an executable file"
}

# Checks that the value of --target is a triple of Linux.
need_target() {
  [[ $1 =~ ^[a-z0-9_]+-unknown-linux-(musl|gnu)$ ]] ||
    die 104 "invalid value '$1' for --target: expected MACHINE-unknown-linux-musl or MACHINE-unknown-linux-gnu"
}

# The servers that `serve` has started.
servers=()

# Stops the servers and removes the folder $work. For a trap at the end of a script that uses them.
end() {
  ((${#servers[@]} == 0)) || kill -- "${servers[@]}" 2>/dev/null || true
  rm -rf -- "${work:?}"
}

# Waits up to ten seconds until a server has written the file $1.
await() {
  for _ in $(seq 100); do
    [[ ! -s $1 ]] || return 0
    sleep 0.1
  done
  die 99 "a server did not start: it has not written $1"
}

# Starts server.py, with a certificate and a key for TLS, and sets port.
serve() {
  python3 -B "$root/scripts/ship/server.py" "$work/port" "$@" &
  servers+=($!)
  await "$work/port"
  # shellcheck disable=SC2034
  port=$(<"$work/port")
  rm "$work/port"
}

# Makes a certificate for localhost in the folder $1: cert.pem and key.pem, and ca.pem to trust.
make_certificate() {
  local ec=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
  openssl req -x509 "${ec[@]}" -days 2 -subj /CN=check-ca -keyout "$1/ca.key" -out "$1/ca.pem" &&
    openssl req "${ec[@]}" -subj /CN=localhost -keyout "$1/key.pem" -out "$1/request.pem" &&
    openssl x509 -req -in "$1/request.pem" -CA "$1/ca.pem" -CAkey "$1/ca.key" -CAcreateserial -days 2 \
      -extfile <(echo subjectAltName=DNS:localhost) -out "$1/cert.pem"
}
