# Everything runs in .venv, which `make setup` builds from the pinned requirements.txt.
VENV ?= $(CURDIR)/.venv
PYTHON ?= python3
export PATH := $(VENV)/bin:$(PATH)
export UV_PYTHON := $(VENV)/bin/python
export DVC_NO_ANALYTICS := 1
# Threads that wait must not keep a core busy that another process needs.
export OMP_WAIT_POLICY := passive
# Each stage is a process of its own: without compiled modules its imports take twice as long.
unexport PYTHONDONTWRITEBYTECODE
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup repro method test lint ui dashboard bench requirements clean

help: ## list these commands
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(INSTALLED) ## build .venv (repro and test do it if needed)

$(INSTALLED): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] < (3, 11))' || \
	  { echo "error: $(PYTHON) is older than 3.11; name a newer one: make setup PYTHON=python3.11" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check $$(grep -oE '^uv==[0-9.]+' requirements.txt)
	uv pip sync --quiet requirements.txt
	uv pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

repro: setup ## run the whole pipeline and write reports/site/index.html
	@multisk check
	dvc repro
	@multisk sync || echo "note: MLflow lacks some of it; once its server answers: multisk sync"
	@echo "The report: $(CURDIR)/reports/site/index.html"

method: setup ## run methods of recipes/ up to their metrics: make method METHOD=avlnet
	@test -n "$(METHOD)" || { echo "error: name one (multisk methods lists them): make method METHOD=avlnet" >&2; exit 2; }
	multisk add $(METHOD)
	dvc repro $(addprefix evaluate@,$(METHOD))
	@echo "make repro puts it into the report"

test: setup ## run all tests
	pytest -n auto --dist worksteal

lint: setup ## check style, types and which room imports which
	ruff check .
	ruff format --check .
	mypy
	lint-imports

ui: setup ## open the MLflow UI on the runs
	multisk ui

dashboard: setup ## open optuna-dashboard on the sweeps
	multisk dashboard

bench: setup ## measure Multi-SK and the training step
	python benchmarks/multi_sinkhorn.py
	python benchmarks/train_step.py

requirements: setup ## pin what pyproject.toml asks for in requirements.txt
	uv pip compile --quiet --python-version 3.11 --no-header --generate-hashes --extra all --output-file requirements.txt pyproject.toml

clean: ## remove what the pipeline and the tests made, but not .venv
	rm -rf data runs reports/site .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
