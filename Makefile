# Everything runs in .venv, which is made from PYTHON when a target first needs it, and again when a pyproject changes.
# niquests stays out of it: it installs itself in urllib3's place, and requests would no longer be tested as users have it.

PYTHON ?= python3
EXTRAS := requests,httpx,httpx2,keyring,encrypted,redis,otel,cli,test
BIN    := .venv/bin
READY  := .venv/.ready

.PHONY: demo test lint bench clean

demo: $(READY)
	@$(BIN)/authflow demo

test: $(READY)
	$(BIN)/python -m pytest

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: $(READY)
	@if [ -d benchmarks ]; then $(BIN)/python -m benchmarks; else echo "There are no benchmarks yet."; fi

clean:
	rm -rf .venv build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml plugins/supplier/pyproject.toml Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "authflow needs Python 3.11 or later, and $(PYTHON) is none. Name another: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable ".[$(EXTRAS)]" --editable plugins/supplier --group dev
	@touch $@
