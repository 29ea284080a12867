#!/usr/bin/env bash
# Measures the product against plain yardsticks and prints a table. It takes about ten minutes and
# wants a machine that has nothing else to do.
#   tests/bench.sh                 the table
#   tests/bench.sh against COMMIT  introspection and refresh, this checkout against another commit, in turns
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p .cache
case ${1-} in
'') run=TestTable ;;
against)
	export BENCH_AGAINST=${2:?usage: tests/bench.sh against COMMIT}
	run=TestAgainst
	;;
*)
	echo "usage: tests/bench.sh [against COMMIT]" >&2
	exit 2
	;;
esac
exec go test -tags bench -count=1 -timeout 30m -v -run "^$run\$" ./bench
