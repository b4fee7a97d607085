# Sets itself up with uv where it is installed, else with python3 (3.11 or newer) and pip alone.
VENV ?= .venv
PYTHON ?= python3
UV := $(shell command -v uv 2>/dev/null)
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: run test test-slow test-peers lint format lock wheel clean

run: $(VENV)/.installed  ## build and watch the demo world, print the findings, write the report
	$(BIN)/subca-oversight demo

test: $(VENV)/.installed  ## everything but the slow tests; with PostgreSQL if SUBCA_TEST_POSTGRES names one
	$(BIN)/python -m pytest

test-slow: $(VENV)/.installed
	$(BIN)/python -m pytest -m slow

test-peers: $(VENV)/.installed  ## a real log beside ours, built from the Go module proxy the first time
	$(BIN)/python -m pytest -m slow tests/integration/test_sunlight.py

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .

format: $(VENV)/.installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Needs uv. Names no index, so that the lock serves whichever index pip is set up with.
# Keeps what is locked where it still fits: add UPGRADE=--upgrade to move everything on.
lock:
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes $(UPGRADE) \
		--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
		--all-extras --group dev --output-file requirements.lock pyproject.toml

wheel: $(VENV)/.installed
	$(BIN)/python -m hatchling build -t wheel

$(VENV)/.installed: pyproject.toml requirements.lock
ifneq ($(UV),)
	$(UV) venv --quiet --allow-existing --no-python-downloads --python '>=3.11' $(VENV)
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes --requirement requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
else
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) --require-hashes --requirement requirements.lock
	$(PIP) --no-deps --no-build-isolation --editable .
endif
	@touch $@

clean:
	rm -rf $(VENV) build dist
