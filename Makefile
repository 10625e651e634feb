# The front door. Every target sets up .venv first; nothing but Python 3.11 to 3.13, pip and make is needed.
PYTHON ?= $(or $(shell command -v python3.11),python3)
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
unexport PYTHONPATH PYTHONHOME
STAMP := $(VENV)/.installed

.PHONY: help setup demo devnet test lint simulate replay record bench clean

help:            ## say what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: $(STAMP)  ## create .venv from the hash-locked requirements

# Debian's python3 may lack ensurepip: then the pip outside installs into the environment. Two targets started
# at once in a fresh clone take turns here, and the second finds everything done.
$(STAMP): requirements.lock pyproject.toml
	@set -e; exec 9>.setup.lock; if command -v flock >/dev/null; then flock 9; fi; \
	if [ $(STAMP) -nt requirements.lock ] && [ $(STAMP) -nt pyproject.toml ]; then exit 0; fi; \
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	{ echo "$(PYTHON) is not Python 3.11, 3.12 or 3.13: say make PYTHON=/path/to/python3.11" >&2; exit 1; }; \
	$(PYTHON) -m venv $(VENV) 2>/dev/null || $(PYTHON) -m venv --clear --without-pip $(VENV); \
	if [ -x $(BIN)/pip ]; then pip="$(BIN)/python -m pip"; else pip="$(PYTHON) -m pip --python $(BIN)/python"; fi; \
	$$pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock; \
	$$pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .; \
	touch $(STAMP)

demo: setup      ## four real validators carry a treasury bill from proposal to redemption
	@$(BIN)/python -m devnet.demo $(ARGS)

devnet: setup    ## start four validators and keep them up until Ctrl-C
	@$(BIN)/mohur devnet up $(ARGS)

test: setup      ## run the tests
	@$(BIN)/python -m pytest $(ARGS)

# Only flake8-async runs in flake8, everything else is ruff's (and a .flake8 file cannot name these codes).
# On: the default families; 9xx would ask for a checkpoint in every async function. Off: 109, a timeout
# parameter is fine where a caller waits for an event; 114 wants a list of startable functions kept by hand;
# 128 does not see task_status handed on; 401, tests look into an exception group themselves. Tests may poll
# (110), and what they put in an async function's place need not wait (124).
FLAKE8 := --select ASYNC1,ASYNC2,ASYNC3,ASYNC4 --ignore ASYNC109,ASYNC114,ASYNC128,ASYNC401 \
	--per-file-ignores 'tests/*:ASYNC110,ASYNC124 testing/*:ASYNC110,ASYNC124'
# These rules are about async code alone: files that never say so, four of five, are not parsed.
ASYNC_FILES = $$(grep -rlE 'async|trio' --include='*.py' --exclude-dir=.venv --exclude-dir=.venv-replay --exclude-dir=build .)

lint: setup      ## ruff, flake8-async, mypy --strict, import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/flake8 $(FLAKE8) $(ASYNC_FILES)
	@$(BIN)/mypy
	@$(BIN)/lint-imports

simulate: setup  ## random consensus schedules from seeds
	@$(BIN)/python -m testing.simulate $(ARGS)

replay: setup    ## the recorded chain under every Python installed and several hash seeds
	@$(BIN)/python -m testing.pythons

record: setup    ## record that chain anew, after bytes of the protocol changed
	@$(BIN)/python -m testing.record

bench: setup     ## measure: make bench ARGS="batch|signed|latency|worst --json"
	@$(BIN)/python -m bench $(ARGS)

clean:           ## remove .venv and caches
	rm -rf $(VENV) .venv-replay build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
