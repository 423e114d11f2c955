# Bare `make` prints what there is. Variables:
#   PYTHON  interpreter; each one but python3 gets an environment of its own: PYTHON=python3.12
#   ARGS    passed on to the command: make test ARGS="-k ask -x"
#   N       repetitions of `make flaky`
#   OLD     another checkout, for `make bench-against`
#   J       tests that run at the same time in `make test` and `make test-all`; J=0: one process,
#           as a debugger needs it

PYTHON ?= python3
ARGS   ?=
N      ?= 50
J      ?= 3

VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
VENV    := .venv$(if $(filter-out python3,$(PYTHON)),-$(VERSION))
BIN     := $(VENV)/bin
STAMP   := $(VENV)/.installed
# The demo needs the package alone: 30 MB, where the tools of development take 1 GB. Where these are
# there already, it takes their environment.
DEMO_VENV  := $(if $(wildcard $(STAMP)),$(VENV),$(VENV)-demo)
DEMO_STAMP := $(DEMO_VENV)/.installed
# The peers of `make bench-peers`, and what draws the curves: 500 MB that nothing else needs.
BENCH_VENV  := $(VENV)-bench
BENCH_STAMP := $(BENCH_VENV)/.installed
PYTEST  := $(BIN)/python -m pytest
PARALLEL := $(PYTEST) --numprocesses=$(J) --dist=worksteal
# These load libraries with threads of their own (polars, scikit-learn) into the test run. Tests that
# fork would copy their locks, so they have a run for themselves; 5: ARGS has selected none of them.
THREADED := tests/process/test_joblib.py tests/process/test_share.py
# What dies, hangs, is debugged, makes way or is imported at any moment: long, and run by
# `make faults`.
MOMENTS := $(addprefix tests/process/test_,attach.py breakpoint.py checkpoints.py crash_reports.py \
	death_watch.py frozen.py hangs.py held.py import_time.py pool_ends.py pool_moments.py recycle.py \
	stop_order.py stop_report.py travelling_code.py tree_moments.py trees.py) tests/demo \
	$(addprefix tests/unit/,runner/test_checkpoints.py supervision/test_anything.py \
	supervision/test_faults.py wire/mailbox/test_closing.py wire/mailbox/test_hands.py \
	wire/mailbox/test_reader.py)
# These have targets of their own: `make examples`, `make tools`, `make faults` and `make ray`.
APART := tests/test_examples.py tests/users tests/tools tests/test_savina.py tests/faults \
	tests/stress tests/cluster $(MOMENTS)
WHEEL   := $(CURDIR)/build/test-wheel

.DEFAULT_GOAL := help
.PHONY: help install compiled demo fmt lint type test faults ray ray-all methods test-all stress flaky cov examples tools test-wheel guard bench bench-against bench-peers bench-curves savina build clean check

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(STAMP): EXTRAS := [dev]
$(BENCH_STAMP): EXTRAS := [bench,peers]

# compat: the tree stands on the import path. The other mode's finder costs each new interpreter
# 17 ms, of which the tests start thousands.
%/.installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv $*
	$*/bin/python -m pip install --quiet --disable-pip-version-check \
		--config-settings editable_mode=compat --editable '.$(EXTRAS)'
	@touch $@

install: $(STAMP) ## Make .venv with the package (editable) and all that development needs

demo: $(DEMO_STAMP) ## Run the main job on real input
	$(DEMO_VENV)/bin/procactors demo $(ARGS)

fmt: $(STAMP) ## Format, and fix what can be fixed
	$(BIN)/ruff check --fix-only . $(ARGS)
	$(BIN)/ruff format .

lint: $(STAMP) ## Check style, format, and that imports go down only
	$(BIN)/ruff check . $(ARGS)
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo --no-cache

type: $(STAMP) ## Check types: the package by mypy, what users write by mypy and pyright
	$(BIN)/mypy procactors
	$(BIN)/mypy tests/typing
	$(BIN)/pyright --pythonpath $(BIN)/python tests/typing

# Compiled as an installed package is: hundreds of tests start fresh interpreters, which would
# compile it each time where Python may not write (PYTHONDONTWRITEBYTECODE).
compiled: $(STAMP)
	@$(BIN)/python -m compileall -q procactors tests examples benchmarks

test: compiled ## Run the tests under the default start method; 5 minutes on two cores
	$(PARALLEL) $(APART:%=--ignore=%) $(THREADED:%=--ignore=%) $(ARGS)
	$(PARALLEL) $(THREADED) $(ARGS) || [ $$? -eq 5 ]

faults: compiled ## Run the fault tests: whatever dies, at every moment of what it does
	$(PARALLEL) tests/faults tests/stress $(MOMENTS) $(ARGS)

# On a cluster each life costs a second of start, so the whole takes ten minutes: `ray` runs of each
# kind what is marked `sample`. Most of what the backends share is the code of `threads`, which
# `make test` runs all of. A program is on one cluster at a time: those of two nodes have a run for
# themselves. 5: ARGS has selected none of them.
RAY = $(PYTEST) tests/conformance tests/test_readme.py -m $(1) $(ARGS) || [ $$? -eq 5 ]
RAY_NODES = $(PYTEST) tests/cluster -m $(1) $(ARGS) || [ $$? -eq 5 ]

ray: compiled ## Run of each kind of test some, on Ray clusters of this machine
	$(call RAY,'ray and sample')
	$(call RAY_NODES,'ray and sample')

ray-all: compiled ## Run everything that is marked `ray`; 10 minutes on two cores
	$(call RAY,ray)
	$(call RAY_NODES,ray)

methods: compiled ## Run a selection, one or two tests a subject, under spawn and fork
	$(PARALLEL) -m methods --start-methods=spawn,fork tests/process tests/faults $(ARGS)

test-all: compiled ## Run the tests and examples under all start methods: PYTHON=python3.12
	$(PARALLEL) --start-methods=all $(ARGS)

stress: compiled ## Run the seeded races and long runs: ARGS="--seed 7"
	$(PYTEST) -m stress $(ARGS)

flaky: $(STAMP) ## Repeat a selection under CPU load: N=50 ARGS="-k ask"
	$(BIN)/python tools/flaky.py $(N) $(ARGS)

cov: $(STAMP) ## Measure which lines the tests run, in actors too
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

examples: compiled ## Run every example and recipe as a user would, on the web too
	$(PYTEST) tests/test_examples.py $(ARGS)
	$(PARALLEL) tests/users $(ARGS) || [ $$? -eq 5 ]

tools: compiled ## Test the tools of development, and the benchmarks' answers
	$(PARALLEL) tests/tools tests/test_savina.py $(ARGS)

test-wheel: $(STAMP) ## Build the wheel and try it in a fresh environment, outside the tree
	rm -rf $(WHEEL) && mkdir -p $(WHEEL)/elsewhere
	$(BIN)/python -m build --outdir $(WHEEL) . >$(WHEEL)/build.log 2>&1 || { cat $(WHEEL)/build.log; exit 1; }
	$(PYTHON) -m venv $(WHEEL)/venv
	$(WHEEL)/venv/bin/python -m pip install --quiet --disable-pip-version-check $(WHEEL)/*.whl
	cd $(WHEEL)/elsewhere && $(WHEEL)/venv/bin/python -I -c 'import procactors; print(procactors.__file__)'
	cd $(WHEEL)/elsewhere && $(WHEEL)/venv/bin/procactors --version
	cd $(WHEEL)/elsewhere && $(WHEEL)/venv/bin/procactors demo --limit 100
	$(WHEEL)/venv/bin/python -m pip install --quiet --disable-pip-version-check 'pytest>=8'
	cd $(WHEEL)/elsewhere && $(WHEEL)/venv/bin/pytest -q --pyargs procactors.examples.test_shop

guard: compiled ## Count what a message and a start cost, against a baseline: ARGS=--record
	$(BIN)/python -m tools.guard $(ARGS)

bench: compiled ## Measure against the floors and write benchmarks/results/: ARGS="--only ask"
	$(BIN)/python -m benchmarks $(ARGS)

bench-against: compiled ## Measure another checkout beside this one: OLD=../old ARGS="--only tell"
	$(BIN)/python -m benchmarks --against $(or $(OLD),$(error OLD=<checkout> is missing)) $(ARGS)

bench-peers: $(BENCH_STAMP) ## Measure in turn with other libraries: ARGS="--peer ours --peer uactor"
	$(BENCH_VENV)/bin/python -m benchmarks.peers $(ARGS)

bench-curves: $(BENCH_STAMP) ## Measure what becomes of growth, with plots: ARGS="--only payload"
	$(BENCH_VENV)/bin/python -m benchmarks.curves $(ARGS)

savina: compiled ## Run the Savina actor benchmarks beside bare processes: ARGS=--quick
	$(BIN)/python -m benchmarks.savina $(ARGS)

build: $(STAMP) ## Build sdist and wheel into dist/
	$(BIN)/python -m build

clean: ## Remove what was built and cached; the environments stay
	rm -rf build dist *.egg-info .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +

check: lint type examples tools test-wheel guard ## Run all that a reviewer runs besides the tests
