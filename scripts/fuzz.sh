#!/usr/bin/env bash
# Runs every fuzz target of the module for a while, one after another.
#   scripts/fuzz.sh [time per target, default 10s]
set -euo pipefail
cd "$(dirname "$0")/.."

each=${1:-10s}
count=0
while read -r pkg; do
	# go test -list prints the names and a closing "ok" line.
	targets=$("${GO:-go}" test -list '^Fuzz' "$pkg" | grep '^Fuzz' || true)
	for target in $targets; do
		echo "== $pkg $target"
		"${GO:-go}" test -run '^$' -fuzz "^$target\$" -fuzztime "$each" "$pkg"
		count=$((count + 1))
	done
done < <("${GO:-go}" list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./...)
if [ "$count" = 0 ]; then
	echo "no fuzz target found" >&2
	exit 1
fi
echo "$count fuzz targets, $each each"
