# `make demo` and `make test` do all the set-up themselves: Python 3.11 or newer and make are all they need.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BENCH_READY := $(VENV)/.bench-ready
WORKERS ?= 2
DEMO := runs/demo

.PHONY: demo test lint bench clean

demo: $(READY)
	rm -rf $(DEMO)
	$(BIN)/jaxgen train --config=configs/edm/digits_mlp.py --workdir=$(DEMO)
	$(BIN)/jaxgen sample --workdir=$(DEMO) --num=64 --seed=0 --out=$(DEMO)/samples.png --strip=$(DEMO)/strip.png
	$(BIN)/jaxgen evaluate --workdir=$(DEMO)

test: $(READY)
	$(BIN)/pytest -n $(WORKERS) --dist=worksteal

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(BENCH_READY)
	$(BIN)/python experiments/benchmarks/throughput.py
	$(BIN)/python experiments/benchmarks/loop.py
	$(BIN)/python experiments/benchmarks/metrics.py

$(READY): pyproject.toml .ci/constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint=.ci/constraints.txt --editable '.[dev]'
	touch $@

$(BENCH_READY): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint=.ci/constraints.txt --editable '.[dev,bench]'
	touch $@

clean:
	rm -rf $(VENV) .cache build *.egg-info
