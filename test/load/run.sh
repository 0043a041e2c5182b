#!/usr/bin/env bash
# Measures every scenario on both databases with a real `cardea serve` and prints
# Markdown tables, for docs/performance.md.
#
#   test/load/run.sh [sqlite] [postgres]     both when none is named
#
# LOAD_SIZES                 numbers of accounts, e.g. "1000 1000000"; "1000" when unset
# LOAD_DURATION, LOAD_CONNECTIONS, LOAD_SCENARIOS, LOAD_SESSIONS, LOAD_WARMUP
#                            as the flags of the program (go run ./test/load -h)
# LOAD_OUT                   folder for the reports as JSON; none when unset
# CARDEA_BIN                 the binary to measure; built stripped when unset
# CARDEA_TEST_DATABASE_URL   superuser URL of a PostgreSQL on loopback; when unset a
#                            throw-away one with fsync on is started from local binaries
#
# Everything stays on this machine's loopback interface and stops by itself.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. test/interop/postgres.sh

work=$(mktemp -d "${TMPDIR:-/tmp}/cardea-load-run-XXXXXX")
cleanup() {
  stop_postgres
  rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

kinds=("$@")
if [ ${#kinds[@]} -eq 0 ]; then kinds=(sqlite postgres); fi

go build -o "$work/load" ./test/load
if [ -z "${CARDEA_BIN:-}" ]; then
  CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o "$work/cardea" ./cmd/cardea
  CARDEA_BIN="$work/cardea"
fi
echo "binary: $(($(wc -c <"$CARDEA_BIN") / 1024)) KiB; $(uname -sm), $(nproc) processors; generator on the same machine"

code=0
for kind in "${kinds[@]}"; do
  database=sqlite
  if [ "$kind" = postgres ]; then
    start_postgres on
    database=$CARDEA_TEST_DATABASE_URL
  fi
  for users in ${LOAD_SIZES:-1000}; do
    json=()
    if [ -n "${LOAD_OUT:-}" ]; then
      mkdir -p "$LOAD_OUT"
      json=(-json "$LOAD_OUT/$kind-$users.json")
    fi
    "$work/load" -server "$CARDEA_BIN" -database "$database" -users "$users" -format markdown ${json[@]+"${json[@]}"} || code=$?
  done
done
exit "$code"
