# make demo       shows the main job on real images, in two minutes
# make test       lint, types and the fast tests
# make test-all   every test: these first, then those with real servers, encoders, a browser and the tools of the
#                 charts
# make coverage   shows the lines that no test reaches; leaves out the tests of the browser and the charts
# make docs       the pages as a site in site/; a dead link or anchor fails
# make bench-quick  prints ratios beside nginx and Varnish, in two minutes; writes nothing
# make soak       ten minutes of random viewers before an origin that fails; nothing may be wrong or left
# make bench      measures; writes docs/results and the pages that show them
# make sbom       what the image and the wheel carry: dist/*.cdx.json (CycloneDX) and dist/NOTICE
# make bundle     wheels, chart and notices in one file, for machines without a network; IMAGE=NAME adds an image
# Each sets up what it needs by itself, in .venv; quick when repeated.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
NETWORK ?= 4g
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --use-pep517 \
	--constraint constraints.txt --editable
# Tests wait for more than half of their time, so they run in three processes for each core, twelve at most.
PARALLEL = --dist worksteal --numprocesses $(shell $(PYTHON) -c 'import os; print(3 * os.cpu_count())') \
	--maxprocesses 12
# Pytest names the slowest tests.
LONGEST = --durations 10 --durations-min 30

.PHONY: demo test test-all test-chart coverage lint docs bench bench-quick soak sbom bundle clean

demo: $(VENV)/.demo
	@echo "Starting the demo …"
	@$(BIN)/progressive-proxy demo --network $(NETWORK) $(DEMO)

test: lint
	$(BIN)/pytest $(PARALLEL) -m 'not slow' tests/unit tests/stories $(PYTEST)

# The charts and the browser measure and build, so they run two files at once.
test-all: test $(VENV)/.chart
	$(BIN)/python -m tests.tools
	$(BIN)/pytest $(PARALLEL) $(LONGEST) -m slow --ignore tests/browser --ignore tests/chart $(PYTEST)
	$(BIN)/pytest --dist loadfile --numprocesses 2 $(LONGEST) tests/browser tests/chart $(PYTEST)

# `test-all` does without, because tests take twice as long while pytest counts lines.
coverage: $(VENV)/.ready
	$(BIN)/python -m tests.tools
	$(BIN)/pytest $(PARALLEL) --cov --cov-report=term --ignore tests/browser --ignore tests/chart $(PYTEST)

test-chart: $(VENV)/.chart
	$(BIN)/pytest tests/chart

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.ready
	$(BIN)/python -m tests.bench demo fast
	$(BIN)/python -m tests.pages

bench-quick: $(VENV)/.ready
	$(BIN)/python -m tests.bench quick

soak: $(VENV)/.ready
	$(BIN)/python -m tests.bench soak

sbom: $(VENV)/.ready
	$(BIN)/python -m tests.release sbom

bundle: $(VENV)/.chart
	$(BIN)/python -m tests.release bundle $(IMAGE)

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

$(VENV)/.demo: $(BIN)/python pyproject.toml constraints.txt
	@echo "Installing what the demo needs into $(VENV), once; about a minute …"
	@$(INSTALL) '.[demo]'
	@touch $@

$(VENV)/.ready: $(BIN)/python pyproject.toml constraints.txt
	@echo "Installing what the tests need into $(VENV), once; about two minutes …"
	@$(INSTALL) '.[demo,test]'
	@touch $(VENV)/.demo $@

# Debian has Python's venv module in a package of its own; as root it is installed, else named.
$(BIN)/python:
	@echo "Setting up $(VENV) …"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or later is needed; set PYTHON=…" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "installing python3-venv" >&2; \
		{ apt-get update && apt-get install -y --no-install-recommends python3-venv; } >/dev/null 2>&1; } \
		|| { echo "Python's venv module is missing: apt-get install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.chart: $(VENV)/.ready tests/chart/tools.py
	$(BIN)/python -m tests.chart.tools
	@touch $@

$(VENV)/.docs: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --use-pep517 \
		--constraint constraints.txt --editable '.[docs]'
	@touch $@

clean:
	rm -rf $(VENV) site build dist *.egg-info .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis
