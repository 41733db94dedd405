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
	$(PYTHON) -m pytest -n 2 -m "not slow and not ray and not gpu"

test-all:
	$(PYTHON) -m pytest -n 2

# Every test, with the lines and branches they reach.
coverage:
	$(PYTHON) -m pytest -n 2 --cov --cov-report=term

bench:
	for script in benchmarks/*.py; do echo "== $$script"; PYTHONPATH=. $(PYTHON) $$script || exit 1; done

wheel:
	$(PYTHON) -m build --wheel
