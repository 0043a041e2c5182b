# Cardea. `make help` lists the targets.
#
# Go is the only thing that has to be there; scripts/setup.sh installs or names the rest.

SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

GO        ?= go
BENCH     ?= .
BENCHTIME ?= 1x
FUZZTIME  ?= 10s
PKG       ?= ./...
MAX_MB    := 35

# Where concurrency matters. The race detector costs a second build of everything, so the
# pure packages are left out.
RACE := . ./usersync/... ./internal/store/... ./internal/token/... ./internal/password/... ./internal/server/...

# Node that setup.sh may have fetched for an old distribution.
export PATH := $(CURDIR)/bin/node:$(PATH)

# As in production. It also lets check and test share one set of compiled packages.
export CGO_ENABLED := 0

LINT_MODULE := tools/lint/go.mod
LINT        := bin/golangci-lint

.PHONY: help
help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '\nVariables: BENCH=regexp BENCHTIME=%s FUZZTIME=%s PKG=%s CARDEA_TEST_DATABASE_URL=postgres://...\n' \
		'$(BENCHTIME)' '$(FUZZTIME)' '$(PKG)'

.PHONY: run
run: ## start a development server: SQLite, loopback, no setup
	$(GO) run ./cmd/cardea dev

.PHONY: build
build: ## build bin/cardea as it is released: static, stripped
	$(GO) build -trimpath -ldflags '-s -w' -o bin/cardea ./cmd/cardea

# The same but for -trimpath, which would compile everything once more.
TEST_BINARY := $(CURDIR)/bin/cardea-test

.PHONY: test-binary
test-binary:
	$(GO) build -ldflags '-s -w' -o $(TEST_BINARY) ./cmd/cardea

.PHONY: setup
setup: ## check and install what the tests need
	@scripts/setup.sh

# ---- tests

.PHONY: test
test: setup vet test-go test-race test-verifier test-adapters test-load test-interop test-openapi test-browser ## every test, on SQLite and PostgreSQL; nothing is skipped
	@echo 'make test: all passed'

.PHONY: vet
vet:
	$(GO) vet ./...

.PHONY: test-go
test-go: ## the Go tests, seeds of the fuzz targets included
	CARDEA_REQUIRE_POSTGRES=1 $(GO) test $(PKG)

.PHONY: test-race
test-race: ## the packages with concurrency, under the race detector
	CARDEA_REQUIRE_POSTGRES=1 CGO_ENABLED=1 $(GO) test -race $(RACE)

.PHONY: test-verifier
test-verifier: ## the verifier against vectors, attacks, other libraries and a hostile network
	cd test/verifier && $(GO) mod tidy -diff && $(GO) vet . && gofmt -l . | { ! grep .; } && $(GO) test -bench . -benchtime 1x .

.PHONY: bench-verifier
bench-verifier: BENCHTIME = 1s
bench-verifier: ## the verifier beside other libraries, on one processor and on all
	cd test/verifier && $(GO) test -run '^$$' -bench '$(BENCH)' -benchtime '$(BENCHTIME)' -cpu "1,$$(getconf _NPROCESSORS_ONLN)" .

# Modules of their own, so that a service pulls in no framework but its own. The commands
# of the main module don't see them.
ADAPTERS := $(patsubst %/go.mod,%,$(wildcard adapters/*/go.mod examples/*/go.mod usersync/*/go.mod))

.PHONY: test-adapters
test-adapters: ## the adapters to gin, echo, fiber, connect and grpc, plain chi, and the examples with libraries of their own
	@for m in $(ADAPTERS); do echo "$$m"; (cd $$m && $(GO) mod tidy -diff && $(GO) vet ./... && gofmt -l . | { ! grep .; } && $(GO) test ./...); done

.PHONY: test-load
test-load: test-binary ## the load tool, a second for each scenario, to see that it works
	CARDEA_BIN=$(TEST_BINARY) LOAD_SIZES=100 LOAD_SESSIONS=8 LOAD_CONNECTIONS=4 LOAD_DURATION=1s LOAD_WARMUP=0s test/load/run.sh

.PHONY: test-interop
test-interop: test-binary ## real npm clients against the real binary, on both databases
	CARDEA_BIN=$(TEST_BINARY) test/interop/run.sh

.PHONY: test-openapi
test-openapi: test-binary ## a client generated from the OpenAPI document, compiled and run against the real binary
	CARDEA_BIN=$(TEST_BINARY) test/openapi/run.sh

.PHONY: test-browser
test-browser: test-binary ## links, pages, inbox and mails in a real Chromium, with axe
	CARDEA_BIN=$(TEST_BINARY) test/browser/run.sh

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME
	GO='$(GO)' scripts/fuzz.sh '$(FUZZTIME)'
	cd test/verifier && $(GO) test -run '^$$' -fuzz '^FuzzAgainstGolangJWT$$' -fuzztime '$(FUZZTIME)' .

.PHONY: bench
bench: setup ## benchmarks matching BENCH, BENCHTIME each, with allocations
	CARDEA_REQUIRE_POSTGRES=1 $(GO) test -run '^$$' -bench '$(BENCH)' -benchtime '$(BENCHTIME)' -benchmem $(PKG)

# ---- the gate

.PHONY: check
check: check-fmt vet lint check-arch check-tidy check-generated check-build ## everything but the tests; offline once the tools are built
	@echo 'make check: all passed'

.PHONY: check-fmt
check-fmt:
	@bad=$$(git ls-files -z --cached --others --exclude-standard -- '*.go' | xargs -0 ls -d 2>/dev/null | xargs gofmt -l); \
	if [ -n "$$bad" ]; then echo "not formatted (make fmt):"; echo "$$bad"; exit 1; fi

.PHONY: lint
lint: $(LINT) ## golangci-lint with .golangci.yml
	$(LINT) run ./...
	@for m in $(ADAPTERS); do (cd $$m && $(CURDIR)/$(LINT) run --config $(CURDIR)/.golangci.yml ./...); done

# Built once, without cgo, from its own module so that go.mod stays small. Takes minutes.
$(LINT): $(LINT_MODULE)
	@echo 'building golangci-lint (once, about three minutes)'
	@mkdir -p bin
	cd $(dir $(LINT_MODULE)) && $(GO) build -o $(CURDIR)/$(LINT) github.com/golangci/golangci-lint/v2/cmd/golangci-lint

.PHONY: check-arch
check-arch: ## the rules of the house: arch_*_test.go, docs_test.go
	$(GO) test -count=1 .

.PHONY: check-tidy
check-tidy:
	$(GO) mod tidy -diff
	$(GO) mod verify

.PHONY: check-generated
check-generated:
	@GO='$(GO)' scripts/check-generated.sh

.PHONY: check-build
check-build: test-binary
	$(GO) build ./...
	@size=$$(wc -c < $(TEST_BINARY)); echo "cardea: $$((size / 1024)) KiB stripped, at most $(MAX_MB) MiB"; \
	[ "$$size" -le $$(($(MAX_MB) * 1024 * 1024)) ] || { echo 'the binary is too large'; exit 1; }

# ---- the rest

.PHONY: fmt
fmt: ## format the Go code
	gofmt -w $$(git ls-files --cached --others --exclude-standard -- '*.go' | xargs ls -d 2>/dev/null)

.PHONY: tidy
tidy: ## go mod tidy, in the modules of the adapters too
	$(GO) mod tidy
	@for m in $(ADAPTERS); do (cd $$m && $(GO) mod tidy); done

.PHONY: generate
generate: ## write generated files anew
	$(GO) generate ./...

.PHONY: clean
clean: ## remove what was built; the data of `make run` stays
	rm -rf bin test/interop/node_modules test/openapi/node_modules test/openapi/tmp test/browser/node_modules
