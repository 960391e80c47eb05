# Needs Python 3.11 to 3.13, make and a package index; every target does all its own set-up.
#   make demo    the whole loop on the built-in bank, no data needed
#   make test    the tests
#   make check   style, types and layers

PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2
BIN := $(VENV)/bin
STAMP := $(VENV)/.nextbest-installed

# One thread per process: two threads on two busy cores can collapse.
export OMP_NUM_THREADS ?= 1

.PHONY: demo test slow check setup serving clean

demo: $(STAMP)
	$(BIN)/nextbest demo

test: $(STAMP)
	$(BIN)/python -m pytest -n $(WORKERS)

slow: $(STAMP)
	$(BIN)/python -m pytest -m slow

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "nextbest: $(PYTHON) not found; name one: make PYTHON=python3.12 ..." >&2; exit 2; }
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else "nextbest: $(PYTHON) is Python %d.%d, need 3.11 to 3.13; name one: make PYTHON=python3.12 ..." % v)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt -e '.[dev]'
	@touch $@

# The environment of the service alone: no torch, no stable-baselines3, no mlflow.
serving: pyproject.toml constraints.txt serving/requirements.txt
	$(PYTHON) -m venv $(VENV)-serving
	$(VENV)-serving/bin/python -m pip install --disable-pip-version-check --quiet -c constraints.txt -r serving/requirements.txt
	$(VENV)-serving/bin/python -m pip install --disable-pip-version-check --quiet --no-deps .

clean:
	rm -rf $(VENV) $(VENV)-serving .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
