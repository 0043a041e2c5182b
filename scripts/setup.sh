#!/usr/bin/env bash
# Makes sure that everything `make test` needs is here, and installs what is missing:
#
#   Go                     as go.mod says (never installed by us)
#   PostgreSQL 15+         server binaries; not needed when CARDEA_TEST_DATABASE_URL is set
#   Node 20+ and npm       for the tests with real clients
#   Chromium               for the tests in a browser; CARDEA_CHROMIUM names another one
#   a C compiler           for the race detector only; the product needs no cgo
#
# Installing uses apt-get, as root or through sudo without a password. Where that is
# impossible the script says what is missing and stops. It never skips anything silently.
#
# CARDEA_SETUP=check only looks. The last resort for an old distribution's Node is the npm
# package of Node's own binary, unpacked into bin/node of this repository.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly node_package=22.23.3
readonly node_min=20
readonly postgres_min=15

say() { printf 'setup: %s\n' "$*" >&2; }
missing=()

can_install() {
	[ "${CARDEA_SETUP:-install}" != check ] && command -v apt-get >/dev/null &&
		{ [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }
}

as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

updated=no
apt_install() {
	if [ "$updated" = no ]; then
		as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q >&2 || say "apt-get update failed, trying with the lists at hand"
		updated=yes
	fi
	say "installing: $*"
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends "$@" >&2
}

check_go() {
	if ! command -v go >/dev/null; then
		missing+=("Go $(sed -n 's/^go //p' go.mod) or newer: https://go.dev/dl/")
		return
	fi
	# The go command itself fetches the toolchain of go.mod, or says that it may not.
	if ! go list -f '{{.Name}}' . >/dev/null; then
		missing+=("a Go toolchain for go.mod (this is $(go env GOVERSION), see the message above)")
	fi
}

# postgres_bin prints the folder with initdb, pg_ctl and postgres of the newest version.
postgres_bin() {
	local dir best="" best_version=0 version
	local dirs=()
	if command -v pg_config >/dev/null; then dirs+=("$(pg_config --bindir)"); fi
	if command -v postgres >/dev/null; then dirs+=("$(dirname "$(readlink -f "$(command -v postgres)")")"); fi
	for dir in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/local/pgsql/bin /opt/homebrew/opt/postgresql*/bin; do
		if [ -d "$dir" ]; then dirs+=("$dir"); fi
	done
	for dir in ${dirs[@]+"${dirs[@]}"}; do
		if [ ! -x "$dir/initdb" ] || [ ! -x "$dir/pg_ctl" ] || [ ! -x "$dir/postgres" ]; then continue; fi
		version=$("$dir/postgres" --version | sed -E 's/[^0-9]*([0-9]+).*/\1/')
		if [ "$version" -gt "$best_version" ]; then
			best=$dir best_version=$version
		fi
	done
	if [ "$best_version" -lt "$postgres_min" ]; then return 1; fi
	printf '%s\n' "$best"
}

check_postgres() {
	if [ -n "${CARDEA_TEST_DATABASE_URL:-}" ]; then return; fi
	if postgres_bin >/dev/null; then return; fi
	if can_install; then apt_install postgresql || true; fi
	if ! postgres_bin >/dev/null; then
		missing+=("PostgreSQL $postgres_min or newer, server binaries (Debian: apt-get install postgresql; https://www.postgresql.org/download/), or CARDEA_TEST_DATABASE_URL")
	fi
}

node_ok() {
	command -v node >/dev/null && command -v npm >/dev/null &&
		[ "$(node --version | sed -E 's/^v([0-9]+).*/\1/')" -ge "$node_min" ]
}

check_node() {
	PATH="$PWD/bin/node:$PATH"
	if node_ok; then return; fi
	if can_install; then apt_install nodejs npm || true; fi
	hash -r
	if ! node_ok && command -v npm >/dev/null && [ "${CARDEA_SETUP:-install}" != check ]; then
		local arch
		case "$(uname -s)-$(uname -m)" in
		Linux-x86_64) arch=linux-x64 ;;
		Linux-aarch64) arch=linux-arm64 ;;
		*) arch="" ;;
		esac
		if [ -n "$arch" ]; then
			say "this system's Node is older than $node_min: fetching $node_package into bin/node"
			mkdir -p bin/node
			npm install --prefix bin/node --no-save --no-audit --no-fund "node-$arch@$node_package" >&2 || true
			ln -sf "node_modules/node-$arch/bin/node" bin/node/node
			hash -r
		fi
	fi
	if ! node_ok; then
		missing+=("Node $node_min or newer with npm: https://nodejs.org/en/download")
	fi
}

# The same names in the same order as test/browser/run.sh. A package that only leads to a
# store of other packages (Ubuntu) has a program that starts nothing, so it is asked.
chromium_ok() {
	local name
	for name in "${CARDEA_CHROMIUM:-}" chromium chromium-browser google-chrome; do
		if [ -n "$name" ] && command -v "$name" >/dev/null; then
			"$name" --version >/dev/null 2>&1
			return
		fi
	done
	return 1
}

check_chromium() {
	if chromium_ok; then return; fi
	if can_install; then apt_install chromium || true; fi
	hash -r
	if ! chromium_ok; then
		missing+=("Chromium (Debian: apt-get install chromium; https://www.chromium.org/getting-involved/download-chromium/), or CARDEA_CHROMIUM")
	fi
}

check_compiler() {
	if command -v "${CC:-gcc}" >/dev/null || command -v cc >/dev/null; then return; fi
	if can_install; then apt_install gcc libc6-dev || true; fi
	if ! command -v gcc >/dev/null; then
		missing+=("a C compiler for the race detector (Debian: apt-get install gcc libc6-dev)")
	fi
}

check_go
check_postgres
check_node
check_chromium
check_compiler

if [ "${#missing[@]}" -gt 0 ]; then
	say "missing, and could not be installed here:"
	printf '  - %s\n' "${missing[@]}" >&2
	exit 1
fi
