PYTHON ?= python

.PHONY: check lint types test test-all coverage bench wheel

check: lint types coverage

lint:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

types:
	$(PYTHON) -m mypy

# What a developer runs all the time: under five minutes on two cores.
test:
	$(PYTHON) -m pytest -m "not slow and not ray and not gpu"

test-all:
	$(PYTHON) -m pytest

# Every test, with the lines and branches they reach.
coverage:
	$(PYTHON) -m coverage erase
	$(PYTHON) -m coverage run -m pytest
	$(PYTHON) -m coverage combine
	$(PYTHON) -m coverage report

bench:
	for script in benchmarks/*.py; do echo "== $$script"; $(PYTHON) $$script || exit 1; done

wheel:
	$(PYTHON) -m build --wheel
