#!/bin/sh
# Builds Caddy with this module: ./xcaddy.sh [-o FILE]   (default: ./caddy)
#
# The pinned versions of Caddy and xcaddy are those of go.mod. Extra arguments go to xcaddy, such as
# --with github.com/caddy-dns/cloudflare.
set -eu

root=$(cd "$(dirname "$0")" && pwd)
module=github.com/caddy-matrix-auth/caddy-matrix-auth
output=$PWD/caddy
if [ "${1-}" = -o ]; then
	[ $# -ge 2 ] || { echo "xcaddy.sh: -o takes a file" >&2; exit 2; }
	case $2 in /*) output=$2 ;; *) output=$PWD/$2 ;; esac
	shift 2
fi

fail() { echo "xcaddy.sh: $*" >&2; exit 1; }
command -v go >/dev/null || fail "Go is missing; install Go 1.26 or newer"
command -v "${CC:-gcc}" >/dev/null || fail "a C compiler is missing, SQLite needs one; on Debian: apt-get install gcc libc6-dev"

cd "$root"
caddy_version=$(go list -m -f '{{.Version}}' github.com/caddyserver/caddy/v2)

# xcaddy builds without cgo unless this is in its environment, and the result would fail when it
# opens the database.
export CGO_ENABLED=1

# xcaddy asks the module registry for our path although the checkout replaces it. The registry may
# answer "forbidden" for a path it does not know, and Go would ask the path's own host next; both
# would end the build. An empty directory as the last in the list answers "not found", after which Go
# uses the checkout.
empty=$(mktemp -d)
trap 'rm -rf "$empty"' EXIT
GOPROXY=$(go env GOPROXY | tr ',' '|' | sed 's/|direct$//')"|file://$empty"
export GOPROXY

go tool xcaddy build "$caddy_version" --output "$output" \
	--with "$module/caddymodule" --replace "$module=$root" "$@"

# A binary that was built in the wrong way shows it here and not on the owner's server.
"$output" list-modules | grep -qx http.handlers.matrix_auth || fail "the module is not in $output"
"$output" matrix-auth version >/dev/null || fail "$output cannot open a database: was it built with cgo?"
echo "$output"
