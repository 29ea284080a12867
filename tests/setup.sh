#!/usr/bin/env bash
# Installs what the tests need into tests/.cache, each part once:
#   tests/setup.sh            everything
#   tests/setup.sh synapse    only the newest Synapse, for the demo
# It is quick when all is there. Two checkouts do not get in each other's way.
set -euo pipefail

tests=$(cd "$(dirname "$0")" && pwd)
cache=$tests/.cache
newest=1.163.2
oldest=1.136.0

say() { printf '%s\n' "$*" >&2; }
fail() { say "setup: $*"; exit 1; }

debian() { # installs Debian packages when it may, and otherwise says how
	if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
		say "installing Debian packages: $*"
		{ DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" ||
			{ apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"; }; } >&2
		return
	fi
	fail "some programs are missing; on Debian: sudo apt-get install $*"
}

postgres_missing() { # whether no PostgreSQL server is here, in the PATH or where Debian has it
	local bin
	for bin in $(echo "$PATH" | tr : ' ') /usr/lib/postgresql/*/bin; do
		if [ -x "$bin/initdb" ] && [ -x "$bin/postgres" ] && [ -x "$bin/psql" ]; then return 1; fi
	done
}

no_cluster=/etc/postgresql-common/createcluster.d/caddy-matrix-auth-tests.conf

postgres() { # installs Debian's PostgreSQL without the cluster that it would make and start; the rig makes its own
	mkdir -p "$(dirname "$no_cluster")"
	trap 'rm -f "$no_cluster"' EXIT
	echo 'create_main_cluster = false' >"$no_cluster"
	debian postgresql
}

venv() { # NAME: a virtual environment with the pinned requirements of tests/requirements/NAME.txt
	local name=$1 target=$cache/$1 requirements=$tests/requirements/$1.txt
	if [ -f "$target/.stamp" ] && cmp -s "$requirements" "$target/.stamp"; then return; fi
	say "installing $name"
	mkdir -p "$cache"
	rm -rf "$target"
	python3 -m venv "$target" >&2
	"$target/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements" >&2 ||
		fail "$name could not be installed; the reason is above"
	cp "$requirements" "$target/.stamp"
}

node_packages() {
	if [ -f "$cache/node/.stamp" ] && cmp -s "$tests/package-lock.json" "$cache/node/.stamp"; then return; fi
	say "installing Node packages"
	mkdir -p "$cache/node"
	cp "$tests/package.json" "$tests/package-lock.json" "$tests/.npmrc" "$cache/node/"
	(cd "$cache/node" && npm ci --no-audit --no-fund >&2) || fail "the Node packages could not be installed; the reason is above"
	cp "$tests/package-lock.json" "$cache/node/.stamp"
}

debian_tree() { # the files of a small Debian with the packages of tests/requirements/debian.txt, which the rig boots
	local target=$cache/debian list=$tests/requirements/debian.txt release=bookworm fresh
	if [ "$(id -u)" != 0 ]; then
		say "no Debian machine: only root can make and boot one, and the tests on it are skipped"
		return
	fi
	if ! unshare --mount --pid --net --fork mount -t tmpfs tmpfs /mnt 2>/dev/null; then
		say "no Debian machine: this system forbids containers, and the tests on one are skipped"
		return
	fi
	# The host's release, so that the programs of the host that the machine borrows find their libraries.
	# shellcheck source=/dev/null
	if [ -r /etc/os-release ]; then release=$(. /etc/os-release && [ "$ID" = debian ] && echo "$VERSION_CODENAME" || echo bookworm); fi
	if [ -f "$target/.stamp" ] && (echo "$release" && cat "$list") | cmp -s - "$target/.stamp"; then return; fi
	say "making a Debian machine ($release)"
	mkdir -p "$cache"
	fresh=$(mktemp -d "$cache/debian.XXXXXX")
	mmdebstrap --quiet --variant=minbase --include="$(grep -v '^#' "$list" | paste -sd,)" "$release" "$fresh/tree" >&2 ||
		fail "the Debian machine could not be made; the reason is above"
	# It has no log of an SSH server to watch, and would count as failed.
	rm -f "$fresh/tree/etc/systemd/system/multi-user.target.wants/fail2ban.service"
	(echo "$release" && cat "$list") >"$fresh/.stamp"
	rm -rf "$target"
	mv "$fresh" "$target"
}

what=${1-all}
missing=()
need() { # PROGRAM PACKAGE...: asks for all that is missing at once, so that one command installs it
	command -v "$1" >/dev/null || missing+=("${@:2}")
}

python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || missing+=(python3 python3-venv)
if [ "$what" = all ]; then
	need gcc gcc libc6-dev
	need curl curl
	need npm nodejs npm
	need chromium chromium fonts-dejavu-core
	if [ "$(id -u)" = 0 ]; then
		need mmdebstrap mmdebstrap
		need systemd-nspawn systemd-container
	fi
fi
if [ "$what" = all ] && postgres_missing; then
	if [ "$(id -u)" = 0 ]; then postgres; else missing+=(postgresql); fi
fi
[ ${#missing[@]} = 0 ] || debian "${missing[@]}"

case $what in
synapse)
	venv synapse-$newest
	;;
all)
	venv synapse-$newest
	venv synapse-$oldest
	venv nio
	venv mail
	node_packages
	debian_tree
	;;
*)
	say "usage: tests/setup.sh [synapse]"
	exit 2
	;;
esac
