# Everything needed is installed by these targets, into git-ignored folders of the checkout.
.PHONY: build demo demo-stop test unit real lint golangci bench screenshots clean

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

lint:
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "run gofmt -w on these"; exit 1; }
	go vet ./...
	cd tests/containers && go vet ./...

# A linter of many linters, by .golangci.yml. No part of "make test": it takes minutes to build.
golangci:
	go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0 run ./...
	cd tests && go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0 run --config ../.golangci.yml --build-tags goolm ./...

bench:
	tests/bench.sh

screenshots:
	tests/setup.sh
	mkdir -p docs/screenshots && rm -f docs/screenshots/*.png
	SCREENSHOTS=$(CURDIR)/docs/screenshots tests/run.sh -run '^TestPages$$'

clean:
	rm -rf caddy .demo tests/.cache
