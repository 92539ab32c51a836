# make demo   shows the main job on real images
# make test   lint, types, tests
# make docs   the pages as a site in site/; a dead link or anchor fails
# make bench   measures; writes docs/results and the pages that show them
# make test-chart   the charts, the dashboard, the alerts and the image with their own tools
# Each sets up what it needs by itself, in .venv; quick when repeated.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
NETWORK ?= 4g

.PHONY: demo test test-chart lint docs bench clean

demo: $(VENV)/.ready
	$(BIN)/progressive-proxy demo --network $(NETWORK) $(DEMO)

test: lint
	$(BIN)/pytest $(PYTEST)

test-chart: $(VENV)/.chart
	$(BIN)/pytest tests/chart

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.ready
	$(BIN)/python -m tests.bench
	$(BIN)/python -m tests.pages

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Debian has Python's venv module in a package of its own; as root it is installed, else named.
$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or later is needed; set PYTHON=…" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "installing python3-venv" >&2; \
		{ apt-get update && apt-get install -y --no-install-recommends python3-venv; } >/dev/null 2>&1; } \
		|| { echo "Python's venv module is missing: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --use-pep517 \
		--constraint constraints.txt --editable '.[demo,test]'
	@touch $@

$(VENV)/.chart: $(VENV)/.ready tests/chart/tools.py
	$(BIN)/python -m tests.chart.tools
	@touch $@

$(VENV)/.docs: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --use-pep517 \
		--constraint constraints.txt --editable '.[docs]'
	@touch $@

clean:
	rm -rf $(VENV) site build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
