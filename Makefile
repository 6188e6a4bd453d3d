# `make example` and `make test` set up what they need; both are quick the second time.
PYTHON ?= python3
CORES ?= $(shell nproc)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: example test test-all test-faults test-cluster lint docs setup clean
.DEFAULT_GOAL := example

setup: $(VENV)/ready

# torch first and exactly, so that no other package pulls another build of it
$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet torch==2.13.0
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[slurm,test,lint,docs]'
	touch $@

example: $(VENV)/ready
	$(BIN)/snakemake --cores $(CORES)
	$(BIN)/snakemake --report results/example/workflow.html
	@cat results/example/logs/compare.log
	@echo "What was saved: results/example/report.html; tables and figures: results/example"

test: $(VENV)/ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --durations=20

test-all: $(VENV)/ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --durations=20 -m "not cluster"

# Files that rot, campaigns that are killed, readers fed with nonsense; part of test-all. PRERELAX_FAULTS=0.1 for a tenth.
test-faults: $(VENV)/ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "slow or not slow" tests/faults tests/workflow/test_made_again.py tests/workflow/test_changed_between_runs.py tests/workflow/test_kills.py

# Brings a SLURM of its own where root and apt-get are here, and takes it away again; MARK="cluster" for the slow ones.
test-cluster: $(VENV)/ready
	tests/cluster/run $(BIN)/python

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/snakefmt --check Snakefile workflow src/prerelax/studies
	$(BIN)/snakemake --lint

# The site with the API reference, in site/; offline, and a broken link is an error.
docs: $(VENV)/ready
	$(BIN)/mkdocs build --strict --quiet

clean:
	rm -rf results .snakemake site
