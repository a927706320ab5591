# One entry point for every task; PYTHON may name another interpreter.
PYTHON ?= python

.PHONY: help check lint types test quick mutants nojit generic bench docs format

help: ## the tasks
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:.*##/  /'

check: lint types test ## everything that must pass before a commit

lint: ## style and format
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

format: ## rewrite files in the house format
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

types: ## strict types
	$(PYTHON) -m mypy

quick: ## one small test that touches everything, in seconds
	$(PYTHON) -m pytest -q tests/test_quick.py

test: quick ## the whole suite
	@echo "The whole suite took 6 min 39 s when last measured, on two quiet cores with nothing compiled before."
	$(PYTHON) -m pytest -q -n auto

nojit: ## the engine's tests with compilation off
	NUMBA_DISABLE_JIT=1 $(PYTHON) -m pytest -q tests/engine

generic: ## the engine's tests compiled for the plainest processor of this kind
	NUMBA_CPU_NAME=generic $(PYTHON) -m pytest -q -n auto tests/engine tests/learn/test_rules.py

mutants: ## small mistakes made on purpose; the tests must see every one
	$(PYTHON) -m tests.mutants $(NAME)

bench: ## speed against peers; needs the extra [bench]
	$(PYTHON) -m tests.bench $(NAME)

docs: ## the API reference, into docs/api (ignored by git)
	$(PYTHON) -m pdoc --output-directory docs/api convcli '!convcli.__main__'
