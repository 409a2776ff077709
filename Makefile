# Everything runs in .venv, which is made from PYTHON when a target first needs it, and again when a pyproject changes.
# niquests stays out of it: it installs itself in urllib3's place, and requests would no longer be tested as users have it.

PYTHON ?= python3
EXTRAS := requests,httpx,httpx2,aiohttp,keyring,encrypted,redis,otel,cli,test
BIN    := .venv/bin
DEMO   := .venv/.demo
READY  := .venv/.ready
PLUGINS := plugins/supplier plugins/selfhosted plugins/otel plugins/signers plugins/gateway plugins/learn

.PHONY: demo quick test recipes lint map reference mutants bench gallery test-niquests companions test-wheels clean

demo: $(DEMO)
	@$(BIN)/authflow demo

# One more worker than there are cores: many tests wait for a server or a deadline.
QUICK := tests/templates tests/vendors tests/accounts tests/renewing tests/manager tests/plugins $(wildcard tests/test_*.py)
WORKERS := $(shell echo $$(($$(nproc 2>/dev/null || echo 2) + 1)))
CROWD := -n $(WORKERS) --dist worksteal

# The rooms that think, and the units of the others: for every save of a file.
quick: $(READY)
	@$(BIN)/python -m pytest -q -m "not slow and not program" $(QUICK)

test: $(READY)
	$(BIN)/python -m pytest $(CROWD)

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# The plan of the house in CONTRIBUTING.md, from the imports as they are.
map: $(READY)
	$(BIN)/python -m tests.house

# plugins/REFERENCE.md, from the classes that read a vendor file.
reference: $(READY)
	$(BIN)/python -m tests.reference

# Seeded bugs, each of which the state machine or a test must catch.
mutants: $(READY)
	$(BIN)/python tests/mutants

# The peers live in .venv-peers; niquests, which takes urllib3's place, beside them in .venv-niquests.
bench: .venv-peers/.ready .venv-niquests/.ready
	.venv-peers/bin/python -m benchmarks; ended=$$?; .venv-peers/bin/python -m benchmarks.costs && exit $$ended

.venv-peers/.ready: EXTRA = requests,httpx,httpx2,redis,cli
.venv-niquests/.ready: EXTRA = niquests
.venv-%/.ready: benchmarks/%.txt pyproject.toml
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	.venv-$*/bin/python -m pip install --quiet --editable ".[$(EXTRA)]" --editable plugins/supplier --editable plugins/signers -r $<
	@touch $@

# Real servers, installed into $VENDOR_CACHE or the user's cache folder; glewlwyd, etcd and Transmission are Debian packages, skipped if absent.
gallery: $(READY)
	$(BIN)/python -m pytest plugins/selfhosted/tests

# niquests alone; then beside requests, which it moves to urllib3-future.
test-niquests: .venv-test-niquests/.ready .venv-test-mixed/.ready
	.venv-test-niquests/bin/python -m pytest $(CROWD) tests/niquests tests/clients tests/trust
	.venv-test-niquests/bin/python -m pytest tests/attacks/test_reporters.py -k niquests
	.venv-test-mixed/bin/python -m pytest $(CROWD) tests/niquests tests/clients tests/trust

# What people put in a server's place, beside a client, or build on it: plugins/recipes/COMPANIONS.md has a line for each.
companions: .venv-companions/.ready
	.venv-companions/bin/python -m pytest tests/companions

.venv-companions/.ready: tests/companions/requirements.txt pyproject.toml
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(@D)/bin/python -m pip install --quiet --editable ".[requests,httpx,aiohttp,test]" -r $<
	@touch $@

# The wheel in an empty environment of each Python that it is for and that the machine has, from the sdist's own tests.
test-wheels: $(READY)
	$(BIN)/python -m tests.wheels

clean:
	rm -rf .venv .venv-* build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Half of pip's time is building in an environment apart, for each of the two, and compiling what the demo never imports.
QUICK_PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile

# In two steps: the demo needs a twentieth of what the tests need.
$(DEMO): pyproject.toml plugins/supplier/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "authflow needs Python 3.11 or later, and $(PYTHON) is none. Name another: make PYTHON=python3.12" >&2; exit 1; }
	@echo "Making .venv …"
	@$(PYTHON) -m venv .venv
	@echo "Installing authflow, requests and httpx into it (some 40 MB) …"
	@$(QUICK_PIP) hatchling hatch-fancy-pypi-readme editables
	@$(QUICK_PIP) --no-build-isolation --editable ".[cli,requests,httpx]" --editable plugins/supplier
	@touch $@

$(READY): $(DEMO) $(PLUGINS:%=%/pyproject.toml) Makefile
	@echo "Installing what the tests need into .venv (some 300 MB, a minute or two) …"
	@$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	@$(BIN)/python -m pip install --quiet --editable ".[$(EXTRAS)]" $(PLUGINS:%=--editable %) --group dev
	@touch $@

# What recipes and replacements run in: without it their tests are skipped.
recipes: $(READY)
	@echo "Installing pandas, Django, Celery and their like into .venv (some 400 MB) …"
	@$(BIN)/python -m pip install --quiet --group recipes

.venv-test-niquests/.ready: NEEDS := niquests,cli,encrypted,test
.venv-test-mixed/.ready: NEEDS := niquests,requests,cli,encrypted,test
.venv-test-niquests/.ready .venv-test-mixed/.ready: pyproject.toml plugins/supplier/pyproject.toml Makefile
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(@D)/bin/python -m pip install --quiet --editable ".[$(NEEDS)]" --editable plugins/supplier websockets wsproto \
	  sentry-sdk rollbar loguru rich better_exceptions pytest-xdist
	@touch $@
