# Everything needed is installed by these targets, into git-ignored folders of the checkout.
.PHONY: build demo demo-stop test unit real lint bench screenshots clean

build:
	./xcaddy.sh -o caddy

demo:
	tests/demo.sh start

demo-stop:
	tests/demo.sh stop

test: lint unit real

unit:
	go test -race -timeout 30m ./...

real:
	tests/setup.sh
	tests/run.sh

lint:
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "run gofmt -w on these"; exit 1; }
	go vet ./...

bench:
	tests/bench.sh

screenshots:
	tests/setup.sh
	mkdir -p docs/screenshots && rm -f docs/screenshots/*.png
	SCREENSHOTS=$(CURDIR)/docs/screenshots tests/run.sh -run '^TestPages$$'

clean:
	rm -rf caddy .demo tests/.cache
