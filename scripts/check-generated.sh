#!/usr/bin/env bash
# Runs go generate and fails when a file of the repository changes by it.
set -euo pipefail
cd "$(dirname "$0")/.."

state() { git ls-files -z --cached --others --exclude-standard | sort -zu | xargs -0 sha256sum 2>/dev/null || true; }

if ! git grep -qE --untracked '^//go:generate ' -- '*.go'; then
	echo "generated files: none"
	exit 0
fi
before=$(state)
"${GO:-go}" generate ./...
after=$(state)
if [ "$before" != "$after" ]; then
	echo "generated files were not current; go generate has changed:" >&2
	diff <(printf '%s\n' "$before") <(printf '%s\n' "$after") | sed -n 's/^> [0-9a-f]* */  /p' >&2
	exit 1
fi
echo "generated files: current"
