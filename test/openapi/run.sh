#!/usr/bin/env bash
# Generates a TypeScript client from docs/reference/openapi.json, compiles it with every
# strictness, and runs it against the real binary.
#
# CARDEA_BIN   the binary to test; built when unset
#
# The last line is "N passed, N failed". Nothing run is a failure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

work=$(mktemp -d "${TMPDIR:-/tmp}/cardea-openapi-run-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# The tools are installed exactly as locked; again only when the lock has changed.
if ! cmp -s package-lock.json node_modules/.cardea-lock; then
  npm ci --no-audit --no-fund --loglevel=error
  cp package-lock.json node_modules/.cardea-lock
fi

if [ -z "${CARDEA_BIN:-}" ]; then
  (cd ../.. && CGO_ENABLED=0 go build -o "$work/cardea" ./cmd/cardea)
  export CARDEA_BIN="$work/cardea"
fi

# tmp/ is not part of the repository.
rm -rf tmp && mkdir tmp
npx openapi-typescript ../../docs/reference/openapi.json --output tmp/api.ts >/dev/null
npx tsc --project .

code=0
CARDEA_TEST_DB=sqlite node --test --test-timeout=120000 \
  --test-reporter=spec --test-reporter-destination=stdout \
  --test-reporter=../interop/count.mjs --test-reporter-destination="$work/count.json" \
  tmp/out/*.test.js || code=$?
read -r passed failed skipped < <(node -e 'const c = JSON.parse(require("fs").readFileSync(process.argv[1])); console.log(c.passed, c.failed, c.skipped)' "$work/count.json")
# A run that failed without naming a test, or that ran none, has failed all the same.
if [ "$failed" -eq 0 ] && { [ "$code" -ne 0 ] || [ "$passed" -eq 0 ]; }; then failed=1; fi

echo
if [ "$skipped" -gt 0 ]; then echo "$skipped skipped"; fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
