# Sourced by run.sh here and in test/load: gives CARDEA_TEST_DATABASE_URL, a superuser URL.
# If it is unset, a throw-away cluster is started from local binaries, as a user without
# rights when we are root (PostgreSQL refuses root), and stopped by stop_postgres.
#
# fsync: "off" for tests, "on" where durability is part of what is measured.

pg_folder=
pg_bin=

find_pg_bin() {
  local candidate
  for candidate in "$(pg_config --bindir 2>/dev/null || true)" /usr/lib/postgresql/*/bin /usr/local/pgsql/bin /opt/homebrew/opt/postgresql*/bin; do
    if [ -x "$candidate/initdb" ] && [ -x "$candidate/postgres" ]; then pg_bin=$candidate; fi
  done
  if [ -z "$pg_bin" ]; then
    echo "no PostgreSQL binaries found: install postgresql, or set CARDEA_TEST_DATABASE_URL to a superuser URL" >&2
    return 1
  fi
}

as_pg_owner() {
  if [ "$(id -u)" -ne 0 ]; then
    "$@"
  elif command -v runuser >/dev/null; then
    runuser -u "$pg_owner" -- "$@"
  elif command -v setpriv >/dev/null; then
    setpriv --reuid "$pg_owner" --regid "$(id -gn "$pg_owner")" --clear-groups "$@"
  else
    su -s /bin/sh "$pg_owner" -c '"$0" "$@"' "$@"
  fi
}

start_postgres() { # start_postgres on|off
  if [ -n "${CARDEA_TEST_DATABASE_URL:-}" ]; then return 0; fi
  find_pg_bin || return 1
  pg_owner=postgres
  id "$pg_owner" >/dev/null 2>&1 || pg_owner=nobody
  pg_folder=$(mktemp -d "${TMPDIR:-/tmp}/cardea-pg-XXXXXX")
  if [ "$(id -u)" -eq 0 ]; then chown "$pg_owner" "$pg_folder"; fi
  local port
  port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close() })')
  # The folder we are in may be closed to the owner of the cluster.
  (
    cd "$pg_folder"
    as_pg_owner "$pg_bin/initdb" -D "$pg_folder/data" -U postgres -A trust -E UTF8 --locale=C --no-sync >"$pg_folder/initdb.log"
    as_pg_owner "$pg_bin/pg_ctl" -D "$pg_folder/data" -l "$pg_folder/server.log" -w -t 60 start \
      -o "-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories='$pg_folder' -c fsync=$1 -c max_connections=200 -c shared_buffers=256MB" >/dev/null
  ) || { cat "$pg_folder"/*.log >&2; return 1; }
  export CARDEA_TEST_DATABASE_URL="postgres://postgres@127.0.0.1:$port/postgres?sslmode=disable"
}

stop_postgres() {
  if [ -z "$pg_folder" ]; then return 0; fi
  (cd "$pg_folder" && as_pg_owner "$pg_bin/pg_ctl" -D "$pg_folder/data" -m immediate stop >/dev/null 2>&1) || true
  rm -rf "$pg_folder"
  pg_folder=
}
