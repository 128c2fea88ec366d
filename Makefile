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
CANDIDATES := python3.13 python3.14 python3.12 python3.11 python3 python
PYTHON ?= $(shell for python in $(CANDIDATES); do \
	if $$python -c '$(PROBE)' >/dev/null 2>&1; then echo $$python; break; fi; done)

comma := ,

# Two tests at a time, in random order; PYTEST_ARGS='-n 0 tests/log' runs others.
PYTEST_ARGS ?= -n 2

# $(call waiting,COMMAND): a dot every five seconds while a command prints nothing.
define waiting
{ while sleep 5 >/dev/null 2>&1 && kill -0 $$$$ 2>/dev/null; do printf . >&2; done & }; \
	dots=$$!; trap 'kill $$dots 2>/dev/null' EXIT; trap 'exit 130' INT; trap 'exit 143' TERM; \
	$(1)
endef

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test coverage lint types docs bench dist release-check clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' Makefile

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
	@$(call waiting,$(PIP) install --editable '.[server$(comma)redis]')
	@touch $@

$(VENV)/.dev: $(BIN)/python setup.cfg pyproject.toml
	@echo "Installing flask_sse_push and its development tools into $(VENV)"
	@$(call waiting,$(PIP) install --editable '.[dev]')
	@touch $@

$(VENV)/.release: $(VENV)/.dev
	@echo "Installing the tools for a release into $(VENV)"
	@$(call waiting,$(PIP) install --editable '.[release]')
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

# Measuring makes tests of many examples several times slower: they get more time.
coverage: $(VENV)/.dev ## run all tests and measure branch coverage, servers included
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest --timeout 300 $(PYTEST_ARGS)
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

lint: $(VENV)/.dev ## ruff (rules and format), import-linter (layers)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/lint-imports --no-logo

types: $(VENV)/.dev ## mypy --strict
	@echo $(BIN)/python -m mypy
	@$(call waiting,$(BIN)/python -m mypy)

docs: $(VENV)/.dev ## build the documentation into docs/_build
	@echo $(BIN)/python -m sphinx -W docs docs/_build/html
	@$(call waiting,$(BIN)/python -m sphinx -W --keep-going -q -b html -d docs/_build/doctrees docs docs/_build/html)

bench: $(VENV)/.dev ## measure deliveries, memory and connects (see benchmarks/)
	$(BIN)/python -m benchmarks

dist: $(VENV)/.release ## build the source archive and the wheel, and check them
	rm -rf build dist
	@echo $(BIN)/python -m build
	@$(call waiting,$(BIN)/python -m build >/dev/null)
	$(BIN)/python -m twine check --strict dist/*
	@files=$$($(BIN)/python -m zipfile -l dist/*.whl); \
	git ls-files flask_sse_push pytest_flask_sse_push.py | while read -r file; do \
		case "$$files" in *"$$file "*) ;; \
		*) echo "The wheel lacks $$file: see package_data in setup.cfg." >&2; exit 1 ;; esac; \
	done

VERSION = $(shell sed -n 's/^version = //p' setup.cfg)

release-check: dist ## see whether what is committed can be released (see RELEASING.md)
	@test -z "$$(git status --porcelain)" || \
		{ echo "Commit or remove what git status lists." >&2; exit 1; }
	@! git rev-parse --quiet --verify refs/tags/v$(VERSION) >/dev/null || \
		{ echo "The tag v$(VERSION) exists: raise version in setup.cfg." >&2; exit 1; }
	@grep -Eq '^## \[$(VERSION)\] - [0-9]{4}-[0-9]{2}-[0-9]{2}$$' CHANGELOG.md || \
		{ echo "CHANGELOG.md has no section '## [$(VERSION)] - YYYY-MM-DD'." >&2; exit 1; }
	$(BIN)/python -m venv --clear build/release
	@$(call waiting,build/release/bin/python -m pip --quiet --disable-pip-version-check \
		install dist/*.whl)
	cd build && release/bin/python -c 'import flask_sse_push.services, flask_sse_push.testing'
	@echo "Version $(VERSION) can be released."

clean: ## remove the virtual environment, caches and everything built
	rm -rf $(VENV) .tox build dist docs/_build htmlcov .coverage .coverage.* *.egg-info
	rm -rf .mypy_cache .ruff_cache .import_linter_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
