#!/usr/bin/env bash
# Measures the product against plain yardsticks and prints a table. It takes about five minutes and
# wants a machine that has nothing else to do.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p .cache
exec go test -tags bench -count=1 -timeout 30m -v -run '^TestTable$' ./bench
