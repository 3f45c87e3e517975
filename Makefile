# Two commands are all that is needed: `make run` and `make test`. Each does its own set-up.

PYTHON ?= python3
HOST ?= 0.0.0.0
PORT ?= 9090

BIN := .venv/bin
BASE := .venv/.base-installed
STATIC := $(or $(DJANGO_STATIC_ROOT),$(CURDIR)/.venv/static)
DEV := .venv/.dev-installed
BENCH := .venv/.bench-installed

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "chatroom needs Python 3.11 or newer; choose one with PYTHON=…")'
	$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

$(BASE): requirements/base.txt | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(DEV): requirements/dev.txt | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@ $(BASE)

$(BENCH): requirements/bench.txt | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@ $(BASE)

# Under names that hold a hash, so that browsers may keep them.
run: export DJANGO_STATIC_ROOT = $(STATIC)

$(STATIC)/staticfiles.json: $(shell find pubsub/*/static -type f) requirements/base.txt | $(BASE)
	@$(BIN)/python manage.py collectstatic --noinput --verbosity 0
	@touch $@

.PHONY: run
run: $(BASE) $(STATIC)/staticfiles.json ## Serve on http://localhost:9090 (HOST=… PORT=… to serve elsewhere)
	@exec $(BIN)/daphne -b $(HOST) -p $(PORT) chatroom_project.asgi:application

.PHONY: test
test: $(DEV) ## Run the test suite (`make test T=tests/core` for a part of it)
	@$(BIN)/python manage.py test $(T)

.PHONY: check
check: $(DEV) ## Lint, check types, module boundaries, Django's settings and the coverage of core/ and protocol/
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python manage.py check --deploy --fail-level WARNING
	$(BIN)/python manage.py makemigrations --check
	$(BIN)/coverage run -m pytest -q tests/core tests/protocol
	$(BIN)/coverage report

.PHONY: bench
bench: $(BENCH) ## Measure everything beside all peers, and write docs/performance.md (about 50 minutes)
	$(BIN)/python -m bench --seconds 1.5 --json docs/performance/results.json --page docs/performance.md

.PHONY: bench-quick
bench-quick: $(BENCH) ## Measure the core of it beside the main peers (two minutes)
	$(BIN)/python -m bench --quick --seconds 0.7

.PHONY: bench-against
bench-against: $(BASE) ## Compare the speed with another checkout or commit (OTHER=HEAD~1 or OTHER=../folder; about 10 minutes)
	$(BIN)/python -m bench --against $(or $(OTHER),HEAD)

.PHONY: conformance
conformance: $(DEV) ## Run the Autobahn test suite against the WebSocket transport (needs Python 2.7; 4 minutes)
	$(BIN)/python -m tests.conformance

.PHONY: format
format: $(DEV) ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make requirements"

.PHONY: requirements
requirements: $(DEV) ## Compile requirements/*.txt from pyproject.toml
	$(BIN)/$(COMPILE) pyproject.toml -o requirements/base.txt
	$(BIN)/$(COMPILE) pyproject.toml --group dev -o requirements/dev.txt
	$(BIN)/$(COMPILE) pyproject.toml --group bench -c requirements/dev.txt -o requirements/bench.txt

.PHONY: clean
clean: ## Remove the virtual environment and every cache
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage
