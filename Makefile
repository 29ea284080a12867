# Everything needed is installed by these targets, into git-ignored folders of the checkout.
.PHONY: build demo demo-stop test unit real lint deadcode golangci mutants bench screenshots clean

build:
	./xcaddy.sh -o caddy

demo:
	tests/demo.sh start

demo-stop:
	tests/demo.sh stop

test: lint unit real

unit:
	go test -race -timeout 30m ./...
	cd tests/containers && go test ./...

real:
	tests/setup.sh
	tests/run.sh

lint: deadcode
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "run gofmt -w on these"; exit 1; }
	go vet ./...
	cd tests/containers && go vet ./...

# Functions that nothing calls. Two questions, both asked in the module of the real tests, as its build list has both
# modules and so sees every caller: what the program itself never reaches although tests do (but for the packages that
# are for tests), and what not even a test reaches. The tool is pinned here and no dependency of go.mod, which users of
# the module would inherit. What it finds it prints, and does not fail for.
DEADCODE = go run golang.org/x/tools/cmd/deadcode@v0.52.0 -tags goolm,bench,faulthook
MODULE = github.com/caddy-matrix-auth/caddy-matrix-auth

deadcode:
	@cd tests && found=$$($(DEADCODE) -filter '^$(MODULE)/(caddymodule|matrixauth)' ./cmd/... && \
		$(DEADCODE) -test -filter '^$(MODULE)' ./... $(MODULE)/...) || exit 1; \
	test -z "$$found" || { echo "$$found"; exit 1; }

# A linter of many linters, by .golangci.yml. No part of "make test": it takes minutes to build.
golangci:
	go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0 run ./...
	cd tests && go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0 run --config ../.golangci.yml --build-tags goolm ./...

# Changes the code in one place at a time and looks whether the package's own tests notice; CONTRIBUTING.md says how to
# read it. The tool is pinned here, is no dependency of go.mod, and is built anew by each run. No part of "make test".
# "make mutants PACKAGES=session" runs one package.
GREMLINS = github.com/go-gremlins/gremlins/cmd/gremlins@v0.6.0

mutants:
	GREMLINS=$(GREMLINS) tests/mutants.sh $(PACKAGES)

# "make bench AGAINST=COMMIT" compares introspection and refresh with those of another commit, in one run.
bench:
	tests/bench.sh $(if $(AGAINST),against $(AGAINST))

screenshots:
	tests/setup.sh
	mkdir -p docs/screenshots && rm -f docs/screenshots/*.png
	SCREENSHOTS=$(CURDIR)/docs/screenshots tests/run.sh -run '^Test(Pages|Registration|PeopleComeBack|Activity)$$'

clean:
	rm -rf caddy .demo tests/.cache
