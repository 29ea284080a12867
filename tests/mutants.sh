#!/usr/bin/env bash
# Changes the code of some packages in one place at a time (a mutant), runs the package's own tests on each, and prints
# how many of the changes they noticed, and where they did not. See "Mutants" in CONTRIBUTING.md.
#
#     tests/mutants.sh [package...]       # names below matrixauth/internal; all of the list without any
#
# The exit code is 1 if a mutant survived that tests/mutants/equivalent.txt does not list. Environment: GREMLINS is the
# tool with its version (the Makefile pins it), EVERY overrides the sample (1 takes every mutant), REPORTS is a directory
# for what the tool printed, NICE the priority (15 without).
set -uo pipefail
cd "$(dirname "$0")/.."
top=$PWD
# Of each package every n-th mutant is taken, in the order of files and lines, so that all take an hour.
declare -A every=([session]=3 [grant]=3 [client]=3 [browser]=1 [user]=2 [outbox]=1 [gateway]=4 [store]=6)
packages=("$@")
[ $# -gt 0 ] || packages=(session grant client browser user outbox gateway store)
reports=${REPORTS:-$(mktemp -d)}
mkdir -p "$reports"
reports=$(cd "$reports" && pwd)

# All works on a copy of what the packages need, in memory where there is such a place: the tests write databases.
scratch=$(mktemp -d -p "$([ -w /dev/shm ] && echo /dev/shm || echo "${TMPDIR:-/tmp}")" mutants.XXXXXX)
# Of a mutant that hangs the tool ends the go command alone; the tests end themselves two seconds later.
finish() {
	for _ in $(seq 60); do
		pgrep -f "$scratch/tmp/" >/dev/null || break
		sleep 1
	done
	rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 130' INT TERM
mkdir "$scratch/source" "$scratch/bin" "$scratch/tmp"
git ls-files -z --cached --others --exclude-standard go.mod go.sum matrixauth caddymodule | while IFS= read -r -d '' file; do
	[ ! -f "$file" ] || printf '%s\0' "$file"
done | xargs -0 cp --parents -t "$scratch/source"

# This stands in the tool's way to the go command. A mutant that does not compile the tool would take for one that was
# noticed; it knows better if the go command ends with 2. Those beyond the sample end so too, and are told apart by the
# list that is kept of them.
cat >"$scratch/bin/go" <<'GO'
#!/bin/sh
case "$1 $2" in 'test -timeout')
	n=$(($(cat "$COUNT") + 1))
	echo $n >"$COUNT"
	if [ $(((n - 1) % EVERY)) -ne 0 ]; then
		echo $n >>"$COUNT.skipped"
		exit 2
	fi
	;;
esac
out=$("$REAL_GO" "$@" 2>&1)
code=$?
printf '%s\n' "$out"
case $out in *'[build failed]'*) exit 2 ;; esac
exit $code
GO
chmod +x "$scratch/bin/go"
export REAL_GO
REAL_GO=$(command -v go)
GOBIN=$scratch/bin go install "${GREMLINS:?is not set; run \"make mutants\"}" || exit 1

# What takes long and is there for load or for histories of weeks. Code that only these reach counts as not covered.
slow='^(TestRefreshForAMonth|TestRefreshNeverLosesAnHonestClient|TestRoomForRequests|TestRoomForRegistrations|TestInventedTokens|TestRefusalsAddUp)$'

cd "$scratch/source"
for package in "${packages[@]}"; do
	n=${EVERY:-${every[$package]:-1}}
	export COUNT=$reports/$package.count
	echo 0 >"$COUNT"
	: >"$COUNT.skipped"
	EVERY=$n PATH=$scratch/bin:$PATH TMPDIR=$scratch/tmp GOFLAGS="-short -vet=off -ldflags=-s -ldflags=-w -skip=$slow" nice -n "${NICE:-15}" \
		"$scratch/bin/gremlins" unleash --workers 1 --timeout-coefficient "${PATIENCE:-5}" --exclude-files '/' \
		--arithmetic-base --conditionals-boundary --conditionals-negation --increment-decrement --invert-assignments \
		--invert-logical --invert-loopctrl --invert-negatives=false --remove-self-assignments \
		"./matrixauth/internal/$package" >"$reports/$package.txt" 2>&1 || {
		tail -20 "$reports/$package.txt"
		echo "mutants: the run over $package failed; its own tests may"
		exit 1
	}
done

# A survivor is named by its file, its operator and its line, with » before the place, so that a list of them outlives
# changes elsewhere in the file.
survivors() {
	sed -nE 's/^ *LIVED ([A-Z_]+) at ([^:]+):([0-9]+):([0-9]+)$/\1 \2 \3 \4/p' "$reports/$1.txt" | while read -r operator file line column; do
		text=$(sed -n "${line}p" "matrixauth/internal/$1/$file" | LC_ALL=C awk -v c="$column" '{ print substr($0, 1, c-1) "»" substr($0, c) }')
		printf '%s\t%s\n' "$1/$file:$line" "$1/$file $operator $(printf '%s' "$text" | sed -E 's/^[[:space:]]+//')"
	done
}

listed() { grep -qxF -- "$1" "$top/tests/mutants/equivalent.txt"; }

alive=0
printf '%-10s %8s %8s %8s %10s %10s %12s\n' package taken killed alive equivalent 'timed out' 'not covered'
for package in "${packages[@]}"; do
	count() { grep -cE "^ *$1 [A-Z]" "$reports/$package.txt"; }
	lived=0 equivalent=0
	: >"$reports/$package.alive"
	while IFS=$'\t' read -r place key; do
		if listed "$key"; then
			equivalent=$((equivalent + 1))
		else
			lived=$((lived + 1))
			printf '%s\t%s\n' "$place" "$key" >>"$reports/$package.alive"
		fi
	done < <(survivors "$package")
	killed=$(count KILLED) late=$(count 'TIMED OUT')
	printf '%-10s %8d %8d %8d %10d %10d %12d\n' "$package" $((killed + late + lived + equivalent)) $killed $lived $equivalent $late "$(count 'NOT COVERED')"
	alive=$((alive + lived))
done
[ $alive -gt 0 ] || exit 0
echo
for package in "${packages[@]}"; do cat "$reports/$package.alive"; done
exit 1
