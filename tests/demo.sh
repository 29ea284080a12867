#!/usr/bin/env bash
# A whole homeserver on this machine's loopback: Synapse with its logins delegated to Caddy.
#   tests/demo.sh start   builds, configures and starts what is missing, and prints how to log in
#   tests/demo.sh stop    ends what start began
# Everything lives in .demo/; a second start reuses all of it. Ports: DEMO_HTTPS_PORT (8448),
# DEMO_SYNAPSE_PORT (8008), DEMO_INTERNAL_PORT (8080). DEMO_DIR names another folder.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
demo=${DEMO_DIR:-$root/.demo}
https_port=${DEMO_HTTPS_PORT:-8448}
synapse_port=${DEMO_SYNAPSE_PORT:-8008}
internal_port=${DEMO_INTERNAL_PORT:-8080}
issuer=https://localhost:$https_port
user=alice

say() { printf '%s\n' "$*" >&2; }
fail() { say "demo: $*"; exit 1; }

# Caddy keeps its data, and with it the certificate authority, in here and not in the user's home.
export XDG_DATA_HOME=$demo/data XDG_CONFIG_HOME=$demo/config

running() { # PIDFILE WORD: tells whether the process in a pid file still is the one we started
	local pid
	[ -f "$1" ] && pid=$(cat "$1") && [ -n "$pid" ] && [ -r "/proc/$pid/cmdline" ] && tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q -- "$2"
}

stop_one() { # PIDFILE WORD
	if running "$1" "$2"; then
		local pid
		pid=$(cat "$1")
		kill "$pid"
		for _ in $(seq 100); do
			running "$1" "$2" || break
			sleep 0.1
		done
		! running "$1" "$2" || kill -9 "$pid"
	fi
	rm -f "$1"
}

free_port() { # PORT VARIABLE: a port that is taken is a sentence, not a stack trace
	if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then
		fail "port $1 is in use by another program; stop it, or choose another one: $2=12345 make demo"
	fi
}

wait_for() { # WHAT LOGFILE COMMAND...
	local what=$1 log=$2
	shift 2
	for _ in $(seq 300); do
		if "$@" >/dev/null 2>&1; then return; fi
		sleep 0.2
	done
	tail -n 20 "$log" >&2
	fail "$what did not start; the end of $log is above"
}

built() { # reports whether what was built is no older than the code
	[ -x "$demo/caddy" ] && [ -z "$(find "$root/caddymodule" "$root/matrixauth" "$root/go.mod" "$root/go.sum" "$root/xcaddy.sh" -newer "$demo/caddy" -type f -print -quit)" ]
}

build() {
	if built; then return; fi
	say "building Caddy with the module (the first time takes minutes)"
	"$root/xcaddy.sh" -o "$demo/caddy" >&2
}

configure() {
	if [ ! -f "$demo/secret" ]; then
		(umask 077 && head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$demo/secret")
	fi
	cat >"$demo/Caddyfile" <<EOF
{
	admin unix/$demo/admin.sock
	skip_install_trust
	auto_https disable_redirects
	https_port $https_port
}
$issuer {
	tls internal
	matrix_auth localhost:$https_port $issuer {
		matrix {
			endpoint http://127.0.0.1:$synapse_port
			secret_file $demo/secret
		}
		internal_listen 127.0.0.1:$internal_port
		registration open {
			email required
		}
		mail {
			from demo@localhost.localdomain
			sendmail $demo/sendmail
		}
	}
	reverse_proxy 127.0.0.1:$synapse_port
}
EOF
	# No mail leaves this machine: each is a file of text.
	mkdir -p "$demo/mail"
	cat >"$demo/sendmail" <<EOF
#!/bin/sh
exec "$python" "$root/tests/demo_mail.py" "$demo/mail"
EOF
	chmod 700 "$demo/sendmail"
	cat >"$demo/homeserver.yaml" <<EOF
server_name: "localhost:$https_port"
public_baseurl: "$issuer/"
report_stats: false
pid_file: "$demo/synapse.twisted.pid"
listeners:
  - {port: $synapse_port, bind_addresses: ["127.0.0.1"], type: http, tls: false, x_forwarded: true, resources: [{names: [client], compress: false}]}
database: {name: sqlite3, args: {database: "$demo/homeserver.db"}}
media_store_path: "$demo/media"
signing_key_path: "$demo/signing.key"
log_config: "$demo/log.yaml"
trusted_key_servers: []
suppress_key_server_warning: true
federation_domain_whitelist: []
presence: {enabled: false}
macaroon_secret_key: "$(cat "$demo/secret")-macaroon"
form_secret: "$(cat "$demo/secret")-form"
matrix_authentication_service:
  enabled: true
  endpoint: "http://127.0.0.1:$internal_port/"
  secret_path: "$demo/secret"
EOF
	chmod 600 "$demo/homeserver.yaml"
	cat >"$demo/log.yaml" <<EOF
version: 1
formatters: {plain: {format: '%(asctime)s %(levelname)s %(name)s %(message)s'}}
handlers: {file: {class: logging.handlers.WatchedFileHandler, formatter: plain, filename: "$demo/synapse.log"}}
root: {level: INFO, handlers: [file]}
disable_existing_loggers: false
EOF
}

start_synapse() {
	if running "$demo/synapse.pid" synapse.app.homeserver; then return; fi
	say "starting Synapse"
	setsid "$python" -m synapse.app.homeserver -c "$demo/homeserver.yaml" >"$demo/synapse.out" 2>&1 </dev/null &
	echo $! >"$demo/synapse.pid"
	wait_for Synapse "$demo/synapse.out" curl -fsS "http://127.0.0.1:$synapse_port/health"
}

start_caddy() {
	if running "$demo/caddy.pid" "$demo/caddy"; then return; fi
	say "starting Caddy"
	rm -f "$demo/admin.sock"
	setsid "$demo/caddy" run --config "$demo/Caddyfile" >"$demo/caddy.log" 2>&1 </dev/null &
	echo $! >"$demo/caddy.pid"
	wait_for Caddy "$demo/caddy.log" curl -fsS --cacert "$ca" "$issuer/_matrix/client/v3/login"
}

add_user() {
	[ ! -f "$demo/password" ] || return 0
	(umask 077 && head -c 12 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$demo/password.new")
	"$demo/caddy" matrix-auth user add "$user" --config "$demo/Caddyfile" <"$demo/password.new" >/dev/null 2>"$demo/user-add.log" ||
		{ cat "$demo/user-add.log" >&2; fail "the account could not be added"; }
	mv "$demo/password.new" "$demo/password"
}

# examine has the doctor look at all of it. It trusts the certificate authority of the demo's Caddy.
examine() {
	doctor=("$demo/caddy" matrix-auth doctor --config "$demo/Caddyfile" --ca-file "$ca" --synapse-config "$demo/homeserver.yaml")
	"${doctor[@]}" >"$demo/doctor.log" 2>&1 || { cat "$demo/doctor.log" >&2; fail "the doctor found something; it is above"; }
}

# need tells of all that is missing at once, before anything that takes minutes.
need() {
	local missing=()
	command -v curl >/dev/null || missing+=(curl)
	command -v setsid >/dev/null || missing+=(util-linux)
	command -v "${CC:-gcc}" >/dev/null || missing+=(gcc libc6-dev)
	python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || missing+=(python3 python3-venv)
	[ ${#missing[@]} = 0 ] || fail "some programs are missing; on Debian: sudo apt-get install ${missing[*]}"
	built || "$root/xcaddy.sh" --check || exit 1
	running "$demo/synapse.pid" synapse.app.homeserver || free_port "$synapse_port" DEMO_SYNAPSE_PORT
	running "$demo/caddy.pid" "$demo/caddy" || { free_port "$https_port" DEMO_HTTPS_PORT && free_port "$internal_port" DEMO_INTERNAL_PORT; }
}

start() {
	need
	mkdir -p "$demo"
	"$root/tests/setup.sh" synapse >&2
	python=$root/tests/.cache/synapse-1.163.2/bin/python
	ca=$demo/data/caddy/pki/authorities/local/root.crt
	build
	configure
	start_synapse
	start_caddy
	add_user
	examine
	cat <<EOF

Homeserver   $issuer
Synapse      http://127.0.0.1:$synapse_port (behind it)
Account      @$user:localhost:$https_port
Password     $(cat "$demo/password")

Register     $issuer/account/register in a browser that trusts $ca, or warns
Mail         comes as files: cat "$demo/mail/"*

Log in:
  curl --cacert $ca $issuer/_matrix/client/v3/login \\
    -d '{"type":"m.login.password","identifier":{"type":"m.id.user","user":"$user"},"password":"$(cat "$demo/password")"}'

Doctor:      ${doctor[*]}
Commands:    $demo/caddy matrix-auth --config $demo/Caddyfile user list
The end:     make demo-stop
EOF
}

stop() {
	stop_one "$demo/caddy.pid" "$demo/caddy"
	stop_one "$demo/synapse.pid" synapse.app.homeserver
}

case ${1-} in
start) start ;;
stop) stop ;;
*) say "usage: tests/demo.sh start|stop"; exit 2 ;;
esac
