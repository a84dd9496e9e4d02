SHELL := /bin/bash
export PATH := $(CURDIR)/.build/tools/bin:$(PATH)

RELEASE := swift build -c release --static-swift-stdlib --product apus
DATA_DIR ?= /var/lib/apus
SOURCES := Package.swift Sources Tests

.PHONY: run stop test unit-test fuzz e2e-test build deps format lint generate bench clean

# Installs what is missing, builds, starts a one-node cluster and says how to talk to it. `make run NODES=3 SERVERS=3`
# starts three servers on etcd and three further nodes, on machines made of namespaces; their data goes when they stop.
run: export NODES := $(NODES)
run: export SERVERS := $(SERVERS)
run: build
	Scripts/run.sh $(DATA_DIR)

# Stops the cluster that `make run` started, its pods included. Its data stays.
stop:
	Scripts/stop.sh $(DATA_DIR)

# Installs what is missing and runs every test.
test: deps lint unit-test fuzz e2e-test

# Eight tests at a time: started all at once, those that wait for a clock would starve each other.
unit-test: deps
	swift build --build-tests
	swift test --skip-build --disable-xctest --experimental-maximum-parallelization-width 8

# Feeds every parser nearly right inputs: a minute for all of them on two cores, or FUZZ_SECONDS for each.
fuzz: deps
	swift build --build-tests
	APUS_FUZZ_SECONDS=$(or $(FUZZ_SECONDS),15) swift test --skip-build --disable-xctest --filter ParserFuzzTests

e2e-test: deps
	swift build --build-tests
	Scripts/e2e.sh .build/debug/apus

build: deps
	$(RELEASE)

deps:
	Scripts/install.sh

format:
	swift format format --in-place --parallel --recursive $(SOURCES)

lint:
	swift format lint --strict --parallel --recursive $(SOURCES)

# Writes the typed kinds, the schema table and the resource table from Tools/facts.
generate:
	python3 Tools/generate.py
	swift format format --in-place --parallel --recursive Sources

bench: build
	Benchmarks/run.sh .build/release/apus

clean:
	rm -rf .build
