#!/usr/bin/env bash
# Uses the pages and links of the real binary in a real Chromium: the links of real mails,
# the page with the button, the inbox of `cardea dev`, the built-in mails.
#
#   ./run.sh [file.test.mjs ...]     every file when none is named
#
# CARDEA_BIN             the binary to test; built when unset
# CARDEA_CHROMIUM        the browser; else chromium, chromium-browser, google-chrome of PATH
# CARDEA_BROWSER_SHOTS   folder that screenshots are written to; none are taken when unset
#
# What is here:
#
#   chrome.mjs   starts Chromium; people (browser contexts) whose pages are watched: a console
#                error, an exception, a violation of a policy, a request that fails or is
#                answered 400 and more fails the test; axe; screenshots
#   app.mjs      an application on loopback with the unmodified supabase-js bundle. It finds
#                the session in its address by itself (detectSessionInUrl)
#   mails/       prints every built-in mail in every language
#
# The servers, the mail server and the inbox of tests are those of test/interop. A test owns
# its addresses and its person. Look at the screenshots after a change of a page or a mail:
#
#   CARDEA_BROWSER_SHOTS=/tmp/shots ./run.sh
#
# The last line is "N passed, N failed". Nothing run is a failure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

work=$(mktemp -d "${TMPDIR:-/tmp}/cardea-browser-run-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

if [ -z "${CARDEA_CHROMIUM:-}" ]; then
  for name in chromium chromium-browser google-chrome; do
    if CARDEA_CHROMIUM=$(command -v "$name"); then break; fi
  done
fi
if [ -z "$CARDEA_CHROMIUM" ]; then
  echo "no Chromium: install it (Debian: apt-get install chromium) or set CARDEA_CHROMIUM" >&2
  exit 1
fi
export CARDEA_CHROMIUM

# The libraries are installed exactly as locked; again only when the lock has changed.
if ! cmp -s package-lock.json node_modules/.cardea-lock; then
  npm ci --no-audit --no-fund --loglevel=error
  cp package-lock.json node_modules/.cardea-lock
fi

export CGO_ENABLED=0
if [ -z "${CARDEA_BIN:-}" ]; then
  (cd ../.. && go build -o "$work/cardea" ./cmd/cardea)
  export CARDEA_BIN="$work/cardea"
fi
(cd ../.. && go build -o "$work/" ./test/interop/mailbox ./test/browser/mails)
export CARDEA_MAILBOX_BIN="$work/mailbox"
"$work/mails" >"$work/mails.json"
export CARDEA_MAILS="$work/mails.json"
if [ -n "${CARDEA_BROWSER_SHOTS:-}" ]; then mkdir -p "$CARDEA_BROWSER_SHOTS"; fi

files=("$@")
if [ ${#files[@]} -eq 0 ]; then files=(*.test.mjs); fi

code=0
node --test --test-concurrency=2 --test-timeout=120000 \
  --test-reporter=spec --test-reporter-destination=stdout \
  --test-reporter=../interop/count.mjs --test-reporter-destination="$work/count.json" \
  "${files[@]}" || code=$?
read -r passed failed skipped < <(node -e 'const c = JSON.parse(require("fs").readFileSync(process.argv[1])); console.log(c.passed, c.failed, c.skipped)' "$work/count.json")
# A run that failed without naming a test, or that ran none, has failed all the same.
if [ "$failed" -eq 0 ] && { [ "$code" -ne 0 ] || [ "$passed" -eq 0 ]; }; then failed=1; fi

echo
if [ "$skipped" -gt 0 ]; then echo "$skipped skipped"; fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
