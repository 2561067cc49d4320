# `make demo` shows the node at work, `make test` runs every test; both set up and build what they need.
SHELL := /bin/bash
SWIFT ?= swift
RELEASE := $(SWIFT) build -c release

.PHONY: help setup setup-demo setup-test build build-sample demo test bench bench-receipt bench-memory bench-series bench-results bench-rtstruct bench-store judge-series judge-results clean

help:
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

setup: ## bring what the node needs: Debian's packages, the inference runtime, the models
	@Scripts/setup.sh node

setup-demo:
	@Scripts/setup.sh demo

setup-test: ## bring what the tests need besides: Orthanc and the Python judges
	@Scripts/setup.sh test

build: setup ## build the node as it ships, and give its networks their weights
	$(RELEASE) --product medlsam-node
	@Scripts/import-models.sh

build-sample:
	$(RELEASE) --product convert-invesalius

demo: setup-demo build build-sample ## one head CT from scanner to archive and back, with a picture of the result
	@Scripts/demo.sh

test: setup-test ## run every test
	$(SWIFT) build --build-tests
	@Scripts/import-models.sh .build/debug/medlsam-node
# One test at a time: they start servers and networks of their own, and two cores are soon full.
	$(SWIFT) test --skip-build --disable-xctest --no-parallel

bench: setup-test setup-demo build build-sample ## measure receipt against storescp, and a head from last slice to archive
	@.local/venv/bin/python Benchmarks/receipt.py rates
	@.local/venv/bin/python Benchmarks/bench.py

bench-receipt: setup-test build ## measure receipt alone: storescp, dcmqrscp, Orthanc, the disk, and the node on 1, 4 and 16 associations
	@.local/venv/bin/python Benchmarks/receipt.py rates

bench-memory: setup-test build ## follow the node's memory over 100,000 instances on 32 associations (50 GB of disk)
	@.local/venv/bin/python Benchmarks/receipt.py memory

bench-series: setup-test build ## measure how fast 1,000 slices become a volume, beside dcm2niix and pydicom
	@.local/venv/bin/python Benchmarks/series.py

bench-results: setup-test ## measure how fast result objects are written, beside highdicom and dcmqi
	$(RELEASE) --product measure-results
	@.local/venv/bin/python Benchmarks/results.py

bench-rtstruct: setup-test build ## measure how fast masks become an RT Structure Set and are read back, beside rt-utils
	$(RELEASE) --product measure-structures
	@.local/venv-pydicom2/bin/python Benchmarks/results_rtstruct.py

bench-store: setup-test build ## measure `doctor --data` against sha256sum over the same files
	@.local/venv/bin/python Benchmarks/store_check.py

judge-series: setup-test setup-demo build build-sample ## compare every CT case with dcm2niix and SimpleITK; writes docs/reference/series-cases.md
	@.local/venv/bin/python Tests/Judges/series.py .build/release/medlsam-node --shared ../shared \
		--converter .build/release/convert-invesalius --head .local/demo/Cranium.inv3 --table docs/reference/series-cases.md

judge-results: setup-test build ## compare what every reader makes of our objects in every geometry; writes docs/reference/results-readers.md
	@.local/venv/bin/python Tests/Judges/convert.py .build/release/medlsam-node --shared ../shared
	@.local/venv/bin/python Tests/Judges/results.py .build/release/medlsam-node --shared ../shared --table docs/reference/results-readers.md

ROUNDS ?= 1000
FAULTS ?= kills disk peers clocks
soak: setup-test build ## do the node harm for long: kill -9, failing writes, hostile peers, clocks (ROUNDS=1000, FAULTS=kills)
	@.local/venv/bin/python Tests/Faults/soak.py $(FAULTS) --rounds $(ROUNDS)

RUNS ?= 1000000
TARGETS ?= dataset network codestream series masks
FUZZ_BUILD := .build-fuzz
fuzz: setup-test ## feed the readers what nobody should send, under AddressSanitizer (RUNS=1000000, TARGETS=network)
	for target in series masks; do $(SWIFT) build -c release --sanitize address --product fuzz-$$target --scratch-path $(FUZZ_BUILD) || exit 1; done
	@.local/venv/bin/python Tests/Fuzz/fuzz.py --runs $(RUNS) --targets $(TARGETS) --programs $(FUZZ_BUILD)/release

clean: ## forget what was built; what set-up brought stays
	$(SWIFT) package clean
