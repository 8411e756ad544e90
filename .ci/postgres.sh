#!/usr/bin/env bash
# Runs a throw-away PostgreSQL server for tests:
#
#   .ci/postgres.sh start DIR     creates a cluster in DIR if there is none, starts it,
#                                 and prints its URL, the value of ZAI_TEST_POSTGRES
#   .ci/postgres.sh stop DIR      stops the server
#   .ci/postgres.sh restart DIR   stops the server without a checkpoint, as a crash does,
#                                 and starts it again on the same port
#
# Scripts can also source this file and call postgres_start DIR and so on. The server
# listens on the loopback interface and on a socket in DIR, accepts every user without a
# password, and does not flush its files. PostgreSQL refuses to run as root; then it runs
# as the user postgres, who must be able to enter DIR.

# postgres_bin sets $postgres_bin to the folder of initdb and pg_ctl. It installs the
# Debian package if there is none and the user is root.
postgres_bin() {
  local newest
  for attempt in 1 2; do
    newest="$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)"
    if [ -x "$newest/initdb" ]; then
      postgres_bin="$newest"
      return
    elif command -v initdb >/dev/null; then
      postgres_bin="$(dirname "$(readlink -f "$(command -v initdb)")")"
      return
    fi
    if [ "$attempt" = 2 ] || [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then break; fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q >/dev/null 2>&1 || true
    apt-get install -y -q --no-install-recommends postgresql >/dev/null 2>&1 || true
  done
  echo "PostgreSQL is missing: install postgresql" >&2
  return 1
}

# postgres_do COMMAND... runs a command of PostgreSQL as a user that is not root.
postgres_do() {
  if [ "$(id -u)" = 0 ]; then
    set -- setpriv --reuid=postgres --regid=postgres --clear-groups "$@"
  fi
  "$@"
}

# postgres_port prints a free port of the loopback interface.
postgres_port() {
  local port
  for _ in $(seq 100); do
    port=$((20000 + RANDOM % 12000))
    (: </dev/tcp/127.0.0.1/"$port") 2>/dev/null || { echo "$port"; return; }
  done
  return 1
}

postgres_ctl() {
  local dir="$1"
  shift
  # The server must not inherit the streams of the caller, which may wait for their end.
  postgres_do "$postgres_bin/pg_ctl" -D "$dir/data" -w -t 60 -l "$dir/log" "$@" </dev/null >"$dir/pg_ctl.log" 2>&1 && return
  cat "$dir/pg_ctl.log" "$dir/log" >&2
  return 1
}

postgres_start() {
  local dir="$1"
  postgres_bin || return 1
  mkdir -p "$dir"
  [ "$(id -u)" != 0 ] || chown postgres:postgres "$dir"
  if [ ! -d "$dir/data" ]; then
    postgres_do "$postgres_bin/initdb" -D "$dir/data" -U postgres -A trust --no-sync --locale=C -E UTF8 >"$dir/initdb.log" 2>&1 || { cat "$dir/initdb.log" >&2; return 1; }
    postgres_port >"$dir/port"
    printf '%s\n' "listen_addresses = '127.0.0.1'" "port = $(cat "$dir/port")" "unix_socket_directories = '$dir'" \
      "fsync = off" "max_connections = 200" | postgres_do tee -a "$dir/data/postgresql.conf" >/dev/null
  fi
  postgres_do "$postgres_bin/pg_ctl" -D "$dir/data" status >/dev/null || postgres_ctl "$dir" start || return 1
  echo "postgres://postgres@127.0.0.1:$(cat "$dir/port")/postgres?sslmode=disable"
}

postgres_stop() {
  postgres_bin || return 1
  postgres_ctl "$1" stop -m fast
}

postgres_restart() {
  postgres_bin || return 1
  postgres_ctl "$1" stop -m immediate && postgres_ctl "$1" start
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  set -euo pipefail
  case "${1:-} $#" in
    "start 2" | "stop 2" | "restart 2") "postgres_$1" "$2" ;;
    *) sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
fi
