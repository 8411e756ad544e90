# shellcheck shell=bash
# Every stage sources this file first. It changes to the root of the repository and
# defines functions and variables for several stages.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Tests are compiled with the flags of a release, so that all stages share what is in the
# build cache. Only the race stage needs flags of its own.
export CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -mod=readonly -trimpath"

# tools is the folder where built tools are kept between runs.
tools="${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/zai-image-mcp/tools"

# work is the folder where a stage builds and installs files. CI_WORK sets one that
# stages share; otherwise the stage creates its own and deletes it at the end.
work="${CI_WORK:-}"
if [ -z "$work" ]; then
  work="$(mktemp -d)"
  trap 'rm -rf "$work"' EXIT
fi

step() { printf '\n-- %s\n' "$*"; }

# skipped reports a check that cannot run on this machine, and why. .ci/run
# repeats these lines at its end.
skipped() { printf 'NOT TESTED: %s\n' "$*" | tee -a "$work/skipped"; }

# need TOOL [PACKAGE] installs a tool with apt, if this machine has apt and the
# user is root. It fails if the tool is still missing.
need() {
  command -v "$1" >/dev/null && return
  if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q >/dev/null 2>&1 || true
    apt-get install -y -q --no-install-recommends "${2:-$1}" >/dev/null 2>&1 || true
  fi
  command -v "$1" >/dev/null
}

# want is like need, for a tool without which some tests skip. If the tool is missing,
# it reports that and does not fail.
want() { need "$@" || skipped "$1 is missing, and tests that need it are skipped"; }

# must is like need, for a tool without which a stage cannot run. If the tool is
# missing, the stage fails.
must() { need "$@" || { echo "$1 is missing: install ${2:-$1}"; exit 1; }; }

# only PATTERN PACKAGE... runs the tests that match. It fails if none match, because
# then the tests were renamed.
only() {
  go test -count=1 -run "$1" "${@:2}" | tee "$work/only.log"
  awk '/^ok/ && !/no tests to run/ { found = 1 } END { exit !found }' "$work/only.log" || { echo "no test matches $1"; return 1; }
}

# built VERSION PACKAGE builds a Go program from source, unless that version is
# already in $tools, and sets $tool to its path.
built() {
  local name="${2##*/}"
  tool="$tools/$name-$1"
  [ ! -x "$tool" ] || return 0
  mkdir -p "$tools"
  GOFLAGS="" GOBIN="$work/bin" go install "$2@$1"
  mv "$work/bin/$name" "$tool"
}

# program builds the program for this machine and sets $binary to its path.
program() {
  binary="$work/zai-image-mcp"
  [ -x "$binary" ] || go build -ldflags="-s -w" -o "$binary" .
}

# clients installs the npm packages of .ci/suites/clients and sets $clients to the folder.
clients() {
  must npx npm
  clients="$work/clients"
  if [ ! -d "$clients/node_modules" ]; then
    mkdir -p "$clients/wire"
    cp .ci/suites/clients/* "$clients/"
    (cd "$clients" && npm install --silent --no-audit --no-fund --ignore-scripts)
  fi
}

# node_run runs a command with a version of Node.js that all clients support.
node_run() { npx -y -p node@22.23.3 "$@"; }
