# Two commands on a bare machine with python3 >= 3.11 and make: `make demo`, `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready

.PHONY: demo test check nightly bench clean help

help:
	@echo "make demo     set up, run the main job offline on the sample market, say where report.html is"
	@echo "make test     set up, then lint, type-check and test everything"
	@echo "make nightly  the long property tests (10,000 generated markets)"
	@echo "make bench    the figures in the README"
	@echo "make clean    remove the environment and what was built"

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "needs python3 >= 3.11; this is $$($(PYTHON) --version); set PYTHON=python3.12 or the like" >&2; exit 2; }
	@echo "setting up $(VENV) (once; about two minutes)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(STAMP)
	@$(BIN)/ashare demo

test: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n 2 --dist loadfile

nightly: $(STAMP)
	HYPOTHESIS_PROFILE=nightly $(BIN)/pytest tests/properties

bench: $(STAMP)
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
