# The front door. A fresh machine needs Python 3.11 or newer, and Go or a `temporal` binary;
# everything else is installed into .venv.

PYTHON ?= python3
BIN := .venv/bin
CORES := $(shell nproc 2>/dev/null || echo 2)
JOBS ?= $(shell expr $(CORES) + 1) # tests wait, for servers and for timeouts, while others run
TENANT ?= demo

.PHONY: demo up test check format bench chaos histories events mutants tau2 soak requirements migrate clean

demo: .venv/installed ## Play the demonstration: six conversations, a kill, three approvals
	@$(BIN)/holdfast dev run -- $(BIN)/python -m holdfast_shop.demo

up: .venv/installed ## Keep Temporal, Postgres and a worker running until Ctrl-C
	@$(BIN)/holdfast dev up --seed $(TENANT)

test: .venv/installed ## The whole suite; the servers first, since Temporal may have to be built
	@$(BIN)/holdfast dev run -- true
	$(BIN)/pytest -n $(JOBS) --dist worksteal
	HOLDFAST_MAX_CACHED_WORKFLOWS=0 $(BIN)/pytest -n $(JOBS) --dist worksteal tests/workflows

check: .venv/installed ## Format, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/installed ## Bring the format in order
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/installed ## Measure turns, growth, waiting, recovery, scale-out and search; writes bench/results
	@$(BIN)/python -m bench

SEED ?= 1
MINUTES ?= 5
WORKERS ?= 6

chaos: .venv/installed ## Kill everything at random (SEED=, MINUTES=, WORKERS=), and count what came of it
	@$(BIN)/python -m bench.chaos --seed $(SEED) --minutes $(MINUTES) --workers $(WORKERS)

histories: .venv/installed ## Record a history of every path that has none yet
	@$(BIN)/holdfast dev run -- $(BIN)/python -m tests.histories.record

events: .venv/installed ## Write what docs/events.md and its schema say of the kinds of events
	$(BIN)/python -m tests.docs.events_page

mutants: .venv/installed ## Change guards, one at a time, and show that tests notice; takes hours (ONLY=approval: a part)
	@$(BIN)/holdfast dev run -- true
	$(BIN)/pytest -m mutants tests/mutants -n $(CORES) $(if $(ONLY),-k "$(ONLY)")

tau2: .venv/installed ## All retail tasks through the whole platform, in both forms
	$(BIN)/python -m bench.tau2

soak: .venv/installed ## 1,000 turns; 500 approvals, 20 reviewers and dying workers; 200 runs of commands
	$(BIN)/pytest -m soak

migrate: .venv/installed ## Bring the database that the settings name up to date
	$(BIN)/holdfast worker --migrate

requirements: ## Pin what pyproject.toml asks for
	PATH="$$PWD/.venv-uv/bin:$$PATH" uv export --quiet --no-header --no-emit-workspace --all-packages --all-extras --all-groups \
	  --no-annotate --output-file requirements.txt
	rm -f uv.lock

.venv/installed: requirements.txt pyproject.toml devstack/pyproject.toml examples/shop/pyproject.toml
	@command -v uv >/dev/null || test -x .venv-uv/bin/uv \
	  || { echo "1/3 fetching uv, which installs the rest …" && \
	       $(PYTHON) -m venv .venv-uv && .venv-uv/bin/pip install --quiet uv; }
	@echo "2/3 installing $$(grep -c == requirements.txt) packages into .venv, about a minute …"
	@PATH="$$PWD/.venv-uv/bin:$$PATH"; cache="$${UV_CACHE_DIR:-$${XDG_CACHE_HOME:-$$HOME/.cache}/uv}"; \
	  { mkdir -p "$$cache" && test -w "$$cache"; } 2>/dev/null || cache="$$PWD/.venv-uv/cache"; export UV_CACHE_DIR="$$cache"; \
	  test -x $(BIN)/python || uv venv --quiet --python $(PYTHON) .venv; \
	  uv pip install --python $(BIN)/python --quiet --compile-bytecode --require-hashes -r requirements.txt && \
	  uv pip install --python $(BIN)/python --quiet --no-deps -e . -e devstack -e examples/shop
	@echo "3/3 installed; the first start also fetches or builds Temporal, once per machine"
	@touch $@

clean: ## Remove the installed environment and the embedded servers' data
	rm -rf .venv .venv-uv .holdfast
