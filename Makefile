# `make demo` and `make test` install everything they need, in locked versions, into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# two more than there are cores: many tests wait for servers, clusters and timeouts
PYTEST_WORKERS ?= $(shell $(PYTHON) -c 'import os; print((os.cpu_count() or 1) + 2)')
# Wheels only: a source distribution would download its build requirements without hashes.
# Modules are compiled when they are first imported, which most never are.
INSTALL = python -m pip install --quiet --no-compile --require-hashes --only-binary :all:
PACKAGES = python -c "import sysconfig; print(sysconfig.get_path('purelib'))"
LOCK = uv pip compile --universal --python-version 3.11 --no-header --quiet --generate-hashes --no-emit-index-url --upgrade

# With this variable, every start would compile all modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: docs demo test lint collect pytest bench zfit root lock clean

demo: $(VENV)/ready-demo
	$(BIN)/bphcoffea demo --output demo

# beside each other, since tests that wait leave time for mypy
test: $(VENV)/ready-dev
	$(MAKE) --jobs=2 lint pytest

pytest: $(VENV)/ready-dev
	$(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist loadfile --no-loadscope-reorder

# Compiles the tests, which else each of the workers would do.
collect: $(VENV)/ready-dev
	$(BIN)/python -m pytest --collect-only --quiet > /dev/null

lint: $(VENV)/ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The documentation as a site; links that lead nowhere are errors.
docs: $(VENV)/ready-dev
	$(BIN)/python -m mkdocs build

# BENCH takes options, such as BENCH="--events 50000 --repeat 3".
bench: $(VENV)/ready-bench
	$(BIN)/python benchmarks/rdataframe $(BENCH)

# zfit brings TensorFlow, 1.9 GB, and ROOT takes 0.6 GB, which nothing else needs: each has an
# environment of its own. That holds only what $(VENV) lacks, and finds the rest there.
zfit: .venv-zfit/ready
	.venv-zfit/bin/python -m pytest -q tests/statistics/test_zfit_models.py

root: .venv-root/ready
	.venv-root/bin/python -m pytest -q tests/statistics/test_roofit_models.py

# The packages that runs need; and, added to them, those that development and benchmarks need.
$(VENV)/ready-demo: requirements-installer.lock requirements.lock pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'bphcoffea needs Python 3.11 or newer: make PYTHON=python3.x')"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/$(INSTALL) --requirement requirements-installer.lock
	$(BIN)/$(INSTALL) --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/ready-dev: $(VENV)/ready-demo requirements-dev.lock
	$(BIN)/$(INSTALL) --requirement requirements-dev.lock
	touch $@

$(VENV)/ready-bench: $(VENV)/ready-demo requirements-bench.lock
	$(BIN)/$(INSTALL) --requirement requirements-bench.lock
	touch $@

.venv-%/ready: $(VENV)/ready-dev requirements-%.lock
	$(PYTHON) -m venv --without-pip .venv-$*
	echo "import site; site.addsitedir('$$($(BIN)/$(PACKAGES))')" > $$(.venv-$*/bin/$(PACKAGES))/base.pth
	.venv-$*/bin/$(INSTALL) --requirement requirements-$*.lock
	touch $@

# Lock the newest versions within the bounds of pyproject.toml, for every platform and Python.
lock:
	$(LOCK) --group installer -o requirements-installer.lock
	$(LOCK) pyproject.toml --group build -o requirements.lock
	$(LOCK) pyproject.toml --group dev -c requirements.lock -o requirements-dev.lock
	$(LOCK) pyproject.toml --extra zfit --group extra -c requirements.lock -c requirements-dev.lock -o requirements-zfit.lock
	$(LOCK) --group bench -c requirements.lock -o requirements-bench.lock
	$(LOCK) pyproject.toml --extra root --group extra -c requirements.lock -c requirements-dev.lock -c requirements-bench.lock -o requirements-root.lock

clean:
	rm -rf $(VENV) .venv-zfit .venv-root demo
