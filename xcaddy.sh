#!/bin/sh
# Builds Caddy with this module: ./xcaddy.sh [-o FILE]   (default: ./caddy)
#                                ./xcaddy.sh --check     looks only whether this machine can build
#
# The pinned versions of Caddy and xcaddy are those of go.mod. Extra arguments go to xcaddy, such as
# --with github.com/caddy-dns/cloudflare. MATRIX_AUTH_VERSION is what "caddy matrix-auth version" will say;
# without it, it is what git says of the checkout.
set -eu

root=$(cd "$(dirname "$0")" && pwd)
module=github.com/caddy-matrix-auth/caddy-matrix-auth
output=$PWD/caddy
check=
if [ "${1-}" = --check ]; then
	check=yes
elif [ "${1-}" = -o ]; then
	[ $# -ge 2 ] || { echo "xcaddy.sh: -o takes a file" >&2; exit 2; }
	case $2 in /*) output=$2 ;; *) output=$PWD/$2 ;; esac
	shift 2
fi

fail() { echo "xcaddy.sh: $*" >&2; exit 1; }

# number gives a version such as go1.26rc1 or 1.26.0 as a number that grows with it, by the shell's own means.
number() {
	IFS=. read -r major minor patch <<-END
		${1#go}
	END
	major=${major%%[!0-9]*} minor=${minor%%[!0-9]*} patch=${patch%%[!0-9]*}
	echo $((${major:-0} * 1000000 + ${minor:-0} * 1000 + ${patch:-0}))
}

# older reports whether a Go, such as go1.24.4, is older than a version, such as 1.26.0. A development version is not.
older() {
	case $1 in devel*) return 1 ;; esac
	[ "$(number "$1")" -lt "$(number "$2")" ]
}

# check_go ends the build where Go is too old, before anything is downloaded. Go 1.21 and later fetch what go.mod
# asks for by themselves, unless GOTOOLCHAIN forbids it, as Debian's does.
check_go() {
	needed=
	while read -r word value _; do
		if [ "$word" = go ]; then needed=$value; fi
	done <"$root/go.mod"
	source="install Go $needed or newer from its own site, as Debian's package golang-go is older, and put its bin folder first in PATH"
	command -v go >/dev/null || fail "Go is missing; $source"
	if chosen=$(cd "$root" && go env GOVERSION 2>/dev/null) && ! older "$chosen" "$needed"; then return; fi
	found=$(cd / && GOTOOLCHAIN=local go env GOVERSION 2>/dev/null) && [ -n "$found" ] || found="a Go without a version"
	if ! older "$found" 1.21; then
		case $(cd / && go env GOTOOLCHAIN) in
		auto | *+auto) source="it could not fetch a newer one by itself; $source" ;;
		*) source="have it fetch a newer one by GOTOOLCHAIN=auto in the environment of this script, or $source" ;;
		esac
	fi
	fail "$(command -v go) is $found, which is too old; $source"
}

check_go
command -v "${CC:-gcc}" >/dev/null || fail "a C compiler is missing, SQLite needs one; on Debian: apt-get install gcc libc6-dev"
[ -z "$check" ] || exit 0

cd "$root"
caddy_version=$(go list -m -f '{{.Version}}' github.com/caddyserver/caddy/v2)

# The version of the checkout. One that lies in another repository, without a history of its own, has none. Whoever
# runs this script trusts the folder, whoever it belongs to.
version=${MATRIX_AUTH_VERSION-}
if [ -z "$version" ] && prefix=$(git -c safe.directory="$root" rev-parse --show-prefix 2>/dev/null) && [ -z "$prefix" ]; then
	version=$(git -c safe.directory="$root" describe --tags --match 'v[0-9]*' --always --dirty 2>/dev/null) || version=
fi
case $version in *[!A-Za-z0-9._+-]*) fail "the version \"$version\" has characters other than letters, digits, and ._+-" ;; esac
# xcaddy's own flags, which it leaves out when it is given others, and the version.
if [ -n "$version" ] && [ -z "${XCADDY_GO_BUILD_FLAGS-}" ]; then
	export XCADDY_GO_BUILD_FLAGS="-ldflags '-w -s -X $module/caddymodule.version=$version' -trimpath -tags nobadger,nomysql,nopgx"
fi

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
said=$("$output" matrix-auth version) || fail "$output cannot open a database: was it built with cgo?"
echo "$said" >&2
echo "$output"
