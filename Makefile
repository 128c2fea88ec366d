# Needs make and a Python >= 3.11 with venv; everything else is installed into .venv.

VENV ?= .venv
BIN := $(VENV)/bin
# setuptools warns at length of what an editable install is; errors still show.
PIP := PYTHONWARNINGS=ignore $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input

# A caller's Python environment must not leak into the virtual environment.
unexport PYTHONHOME PYTHONPATH PIP_USER PIP_TARGET PIP_PREFIX PIP_QUIET

# Version managers leave commands on the PATH that do not run, and Debian ships a
# Python without ensurepip: a candidate counts once it has done what is needed.
PROBE := import sys; assert sys.version_info >= (3, 11); import ensurepip, ssl, venv
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3 python; do \
	if $$python -c '$(PROBE)' >/dev/null 2>&1; then echo $$python; break; fi; done)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint types docs bench clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' Makefile

$(BIN)/python:
	@if ! $(or $(PYTHON),false) -c '$(PROBE)' >/dev/null 2>&1; then \
		echo "$(or $(PYTHON),No Python that was found) cannot be used:" \
			"version 3.11 or newer with venv and ssl is needed." >&2; \
		echo "On Debian or Ubuntu: apt-get install python3 python3-venv." >&2; \
		echo "Elsewhere install Python 3.11+, or name one:" \
			"make PYTHON=/path/to/python3." >&2; \
		exit 1; \
	fi
	@echo "Creating $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv --clear $(VENV)

$(VENV)/.demo: $(BIN)/python setup.cfg pyproject.toml
	@echo "Installing flask_sse_push and gunicorn into $(VENV)"
	@$(PIP) install --editable '.[server,redis]'
	@touch $@

$(VENV)/.dev: $(BIN)/python setup.cfg pyproject.toml
	@echo "Installing flask_sse_push and its development tools into $(VENV)"
	@$(PIP) install --editable '.[dev]'
	@touch $@

# gunicorn and make both answer Ctrl-C; exec leaves no shell between them.
demo: ## serve the example shop on http://127.0.0.1:8000 (PORT=... for another port)
demo: export SSE_PUSH_BACKEND_URL ?= memory://
demo: $(VENV)/.demo
	@echo
	@echo "  The example shop: http://127.0.0.1:$(or $(PORT),8000)   (Ctrl-C ends it)"
	@echo
	@exec $(BIN)/python -m gunicorn -k gevent -w 1 -b 127.0.0.1:$(or $(PORT),8000) \
		--config example/gunicorn_conf.py --graceful-timeout 5 example.app:app

test: ## run everything that is checked: ruff, mypy, the documentation, all tests
test: lint types docs
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(VENV)/.dev ## ruff (rules and format), import-linter (layers)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/lint-imports --no-logo

types: $(VENV)/.dev ## mypy --strict
	$(BIN)/python -m mypy

docs: $(VENV)/.dev ## build the documentation into docs/_build
	$(BIN)/python -m sphinx -W --keep-going -q -b html -d docs/_build/doctrees docs docs/_build/html

bench: $(VENV)/.dev ## measure deliveries, memory and connects (see benchmarks/)
	$(BIN)/python -m benchmarks

clean: ## remove the virtual environment, caches and everything built
	rm -rf $(VENV) .tox build dist docs/_build *.egg-info
	rm -rf .mypy_cache .ruff_cache .import_linter_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
