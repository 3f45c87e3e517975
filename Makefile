# `make run` starts the server and `make test` runs the tests. Every target installs what it needs.

PYTHON ?= python3
HOST ?= 0.0.0.0
PORT ?= 9090
WORKERS ?= 1

BIN := .venv/bin
BASE := .venv/.base-installed
STATIC := $(or $(DJANGO_STATIC_ROOT),$(CURDIR)/.venv/static)
WORKERS_INSTALLED := .venv/.workers-installed
DEV := .venv/.dev-installed
BENCH := .venv/.bench-installed
NODE_TOOLS := node_modules/.package-lock.json

# This script fails if Node.js is too old for the linter.
NODE_IS_RECENT := process.exit(process.versions.node.localeCompare("20.19", "en", {numeric: true}) < 0 ? 1 : 0)

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "chatroom needs Python 3.11 or newer; set PYTHON to such an interpreter")'
	$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

$(BASE): requirements/base.txt | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(WORKERS_INSTALLED): requirements/workers.txt | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@ $(BASE)

# Most modules of the tools are never imported, so they are compiled when they are.
$(DEV): requirements/dev.txt | $(BIN)/python
	$(BIN)/pip install --quiet --no-compile --disable-pip-version-check --require-hashes -r $<
	@touch $@ $(BASE) $(WORKERS_INSTALLED)

$(BENCH): requirements/bench.txt | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@ $(BASE)

# File names contain a hash of the content, so browsers may cache the files for good.
run: export DJANGO_STATIC_ROOT = $(STATIC)

$(STATIC)/staticfiles.json: $(shell find pubsub/*/static -type f) requirements/base.txt | $(BASE)
	@$(BIN)/python manage.py collectstatic --noinput --verbosity 0
	@touch $@

.PHONY: run
ifeq ($(WORKERS),1)
run: $(BASE) $(STATIC)/staticfiles.json ## Serve on http://localhost:9090 (HOST=… PORT=… to serve elsewhere, WORKERS=4 for four processes)
	@exec $(BIN)/daphne -b $(HOST) -p $(PORT) chatroom_project.asgi:application
else
run: export HOST := $(HOST)
run: export PORT := $(PORT)
run: export WORKERS := $(WORKERS)
run: $(BASE) $(STATIC)/staticfiles.json $(WORKERS_INSTALLED)
	@exec $(BIN)/python deploy/workers/start.py
endif

# Each process of pytest takes whole files, because the tests of a file may share a server. It
# takes them in their order, so that the tests of a directory can share a browser, and because the
# files with the fewest tests, which it would otherwise keep for the end, are the slowest.
PARALLEL = --numprocesses=$(JOBS) --dist=loadfile --no-loadscope-reorder

# Many tests mostly wait, so that each processor can take two of them.
.PHONY: test
test test-versions: JOBS ?= $(shell expr 2 '*' `getconf _NPROCESSORS_ONLN`)
test: $(DEV) ## Run the test suite (T=tests/core for a part of it, JOBS=1 for one test at a time)
	@PYTEST_ADDOPTS="$(PARALLEL)" $(BIN)/python manage.py test $(T)

.PHONY: test-versions
test-versions: $(DEV) ## Run the suite on the oldest and the newest supported Django and other dependencies
	@PYTEST_ADDOPTS="$(PARALLEL)" .ci/test-versions oldest $(T)
	@PYTEST_ADDOPTS="$(PARALLEL)" .ci/test-versions newest $(T)

# The unit tests of these packages cover all of their branches.
COVERED := connection core protocol transport websocket

# A complete set of settings, for `check --deploy` to find nothing missing. No server has these keys.
PRODUCTION := DJANGO_ALLOWED_HOSTS=chat.example.org CHATROOM_AUTH=required \
	CHATROOM_JWT_SECRET=an-example-that-is-long-enough-for-HS256 \
	CHATROOM_API_KEYS=an-example-of-a-key CHATROOM_MAX_CONNECTIONS=10000 \
	CHATROOM_RATE_LIMIT=20 CHATROOM_REST_RATE_LIMIT=20

.PHONY: check
check: JOBS ?= auto
check: $(DEV) ## Lint, and check types, module boundaries, Django's settings and the required coverage
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PRODUCTION) $(BIN)/python manage.py check --deploy --fail-level WARNING
	$(BIN)/python manage.py makemigrations --check
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -q $(PARALLEL) $(COVERED:%=tests/%)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report
	@if node -e '$(NODE_IS_RECENT)' 2> /dev/null; then \
		$(MAKE) --no-print-directory check-js; \
	elif [ "$$CHATROOM_CHECK_JS" = required ]; then \
		echo "Node.js 20.19 or newer is missing, and CHATROOM_CHECK_JS is required." >&2; exit 1; \
	else \
		echo "Node.js 20.19 or newer is missing: the JavaScript was not checked."; \
	fi

$(NODE_TOOLS): package-lock.json
	npm ci --no-audit --no-fund
	@touch $@

.PHONY: check-js
check-js: $(NODE_TOOLS) ## Lint the JavaScript and check its types (part of `make check` where there is Node.js)
	npm run --silent check

.PHONY: bench
bench: $(BENCH) ## Measure everything against all peers and write docs/performance.md (about 70 minutes)
	$(BIN)/python -m bench --seconds 1.5 --json docs/performance/results.json --page docs/performance.md

.PHONY: bench-quick
bench-quick: $(BENCH) ## Measure fan-out and rooms against the main peers (two minutes)
	$(BIN)/python -m bench --quick --seconds 0.7

RUNS ?= 5
RELAY := relay-fan-out-window-1 relay-fan-out-window-8 relay-fan-out-burst-8 relay-fan-out-window-32 relay-latency-100 relay-latency \
	relay-unwanted relay-neighbour relay-wanted relay-history relay-topics

.PHONY: bench-relay
bench-relay: $(BENCH) ## Measure one room in two processes against its peers and write docs/scaling.md (each scenario takes a few minutes)
	$(BIN)/python -m bench --scenario $(RELAY) connect idle --runs $(RUNS) --json docs/performance/relay.json \
		--peer chatroom chatroom-relay group-send group-send-redis-two socketio-node socketio-node-redis
	$(BIN)/python -m bench.scaling --page docs/scaling.md

.PHONY: bench-against
bench-against: $(BASE) ## Compare the speed with another checkout or commit (OTHER=HEAD~1 or OTHER=../folder; about 10 minutes)
	$(BIN)/python -m bench --against $(or $(OTHER),HEAD)

.PHONY: conformance
conformance: $(DEV) ## Run the Autobahn test suite against the WebSocket transport (needs Python 2.7; 4 minutes)
	$(BIN)/python -m tests.conformance

.PHONY: stress
stress: export CHATROOM_STRESS ?= 40
stress: $(DEV) ## Run the reliability tests for 20 minutes (T=… for a part, CHATROOM_STRESS_SEED=… to repeat a run)
	@$(BIN)/python -m pytest --timeout=0 $(or $(T),tests/reliability)

.PHONY: image-check
image-check: | $(BIN)/python ## Build the image and run the Compose files (needs root on Debian; three minutes)
	@.ci/image-check

.PHONY: format
format: $(DEV) ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

COMPILE := uv pip compile --quiet --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make requirements"
UNIVERSAL := $(COMPILE) --universal --python-version 3.11 --constraints requirements/constraints.in

# A pin changes only if pyproject.toml requires it; U=--upgrade takes the newest releases.
.PHONY: requirements
requirements: $(DEV) ## Compile requirements/*.txt from pyproject.toml (U=--upgrade for new releases)
	$(BIN)/$(UNIVERSAL) $(U) pyproject.toml -o requirements/base.txt
	$(BIN)/$(UNIVERSAL) $(U) pyproject.toml --extra workers -c requirements/base.txt -o requirements/workers.txt
	$(BIN)/$(UNIVERSAL) $(U) pyproject.toml --all-extras --group dev -o requirements/dev.txt
	$(BIN)/$(UNIVERSAL) $(U) pyproject.toml --group bench -c requirements/dev.txt -o requirements/bench.txt
	$(BIN)/$(COMPILE) $(U) pyproject.toml --all-extras --python-version 3.11 --resolution lowest-direct -o requirements/oldest.txt
	$(BIN)/$(COMPILE) $(U) pyproject.toml --all-extras --python-version 3.12 -o requirements/newest.txt

.PHONY: clean
clean: ## Remove the virtual environments and all caches
	rm -rf .venv .venv-* node_modules .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage
