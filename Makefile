# `make demo` and `make test` need nothing but this checkout: both install first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO := demo
# A process for each core; the tests of a file stay together, since they share what takes long to make, and files keep
# the order of tests/conftest.py, the longest first.
PARALLEL := -n auto --dist loadfile --no-loadscope-reorder

# Where nothing keeps compiled modules, every start of TensorFlow compiles thousands of them: four times as long.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: install demo test test-all lint clean

install: $(STAMP)

$(STAMP): setup.cfg pyproject.toml scripts/install.sh
	bash scripts/install.sh "$(PYTHON)" "$(VENV)"
	touch $@

demo: install
	PATH="$(CURDIR)/$(BIN):$$PATH" bash scripts/demo.sh "$(DEMO)"

test: install lint
	$(BIN)/python -m pytest -m "not slow" $(PARALLEL)

test-all: install lint
	$(BIN)/python -m pytest $(PARALLEL)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) $(DEMO) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
