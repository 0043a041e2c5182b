#!/usr/bin/env bash
# Runs the Supabase clients against the real binary, on each database.
#
#   ./run.sh [sqlite] [postgres]          both when none is named
#
# CARDEA_BIN                 the binary to test; built when unset
# CARDEA_TEST_DATABASE_URL   superuser URL of a PostgreSQL; a throw-away one is started when unset
# CARDEA_TEST_FILES          the test files to run; all when unset
#
# The last line is "N passed, N failed". Nothing run is a failure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./postgres.sh

work=$(mktemp -d "${TMPDIR:-/tmp}/cardea-interop-run-XXXXXX")
cleanup() {
  stop_postgres
  rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

kinds=("$@")
if [ ${#kinds[@]} -eq 0 ]; then kinds=(sqlite postgres); fi

# The clients are installed exactly as locked; again only when the lock has changed.
if ! cmp -s package-lock.json node_modules/.cardea-lock; then
  npm ci --no-audit --no-fund --loglevel=error
  cp package-lock.json node_modules/.cardea-lock
fi

if [ -z "${CARDEA_BIN:-}" ]; then
  (cd ../.. && CGO_ENABLED=0 go build -o "$work/cardea" ./cmd/cardea)
  export CARDEA_BIN="$work/cardea"
fi

# The mail server that messages are read from.
(cd ../.. && CGO_ENABLED=0 go build -o "$work/mailbox" ./test/interop/mailbox)
export CARDEA_MAILBOX_BIN="$work/mailbox"

read -r -a files <<<"${CARDEA_TEST_FILES:-$(echo *.test.mjs)}"

passed=0 failed=0 skipped=0
summary=()
for kind in "${kinds[@]}"; do
  if [ "$kind" = postgres ]; then start_postgres off; fi
  echo "== $kind"
  code=0
  CARDEA_TEST_DB=$kind node --test --test-concurrency=1 --test-timeout=300000 \
    --test-reporter=spec --test-reporter-destination=stdout \
    --test-reporter=./count.mjs --test-reporter-destination="$work/$kind.json" \
    "${files[@]}" || code=$?
  read -r p f s < <(node -e 'const c = JSON.parse(require("fs").readFileSync(process.argv[1])); console.log(c.passed, c.failed, c.skipped)' "$work/$kind.json")
  # A run that failed without naming a test, or that ran none, has failed all the same.
  if [ "$f" -eq 0 ] && { [ "$code" -ne 0 ] || [ "$p" -eq 0 ]; }; then f=1; fi
  summary+=("$(printf '%-9s %4d passed, %d failed, %d skipped' "$kind:" "$p" "$f" "$s")")
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
done

echo
printf '%s\n' "${summary[@]}"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
