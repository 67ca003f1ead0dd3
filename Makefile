# make demo     the main job on a real checkpoint, in a virtual environment of its own
# make test     the whole test suite        (SUITE=unit|interop|service|ordinary|fuzz for one part of it)
# make check    format, lint, types, import layers, docs in step with the command line
# make readme   write what the demo and --help print into the pages
# make peers    install the other programs that some tests compare with (torch, model-signing, …) under .peers/
# make ordinary  the whole false-alarm suite, with the libraries that are too large for CI, and its table in the docs
# make wheel    build dist/*.whl and look at what is inside
# make fuzz-pickle | make bench-scan | bench-convert | bench-signing      long campaigns, not part of `make test`

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SUITE  ?= all
PYTEST_ARGS ?=

MARKERS_all      :=
MARKERS_unit     := -m "not interop and not service and not ordinary and not fuzz"
MARKERS_interop  := -m "interop"
MARKERS_service  := -m "service and not interop"
MARKERS_ordinary := -m "ordinary"
MARKERS_fuzz     := -m "fuzz"

.PHONY: demo test check peers peers-all ordinary readme wheel format clean fuzz-pickle bench-scan bench-convert bench-signing

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "modelsign needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) -V 2>&1). Try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "$(PYTHON) cannot make virtual environments here. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	@# Python 3.11 ships a pip that knows no dependency groups
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.installed-test: pyproject.toml $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --group test
	@touch $@

$(VENV)/.installed-check: pyproject.toml $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --group check
	@touch $@

demo: $(VENV)/.installed
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo.sh

# pytest exits with 5 when a suite has no test on this machine; that is not a failure of the suite.
test: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n auto --dist loadfile $(MARKERS_$(SUITE)) $(PYTEST_ARGS) || [ $$? -eq 5 ]

check: $(VENV)/.installed-check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/check_help.py
	$(BIN)/python docs/check_pages.py

readme: $(VENV)/.installed
	@PATH="$(CURDIR)/$(BIN):$$PATH" NO_COLOR=1 sh examples/demo.sh >.demo.log 2>&1 || { cat .demo.log; exit 1; }
	$(BIN)/python docs/write_demo.py <.demo.log
	rm -f .demo.log
	$(BIN)/python docs/check_help.py --write

format: $(VENV)/.installed-check
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

peers: | $(BIN)/python
	$(BIN)/python tests/install_peers.py .peers

peers-all: | $(BIN)/python
	$(BIN)/python tests/install_peers.py .peers --all

ordinary: peers-all $(VENV)/.installed-test
	$(BIN)/python -m pytest -m ordinary tests/ordinary
	$(BIN)/python -m tests.ordinary.table

wheel: | $(BIN)/python
	$(BIN)/python -m pip install --quiet build
	rm -rf dist
	$(BIN)/python -m build --quiet --wheel --outdir dist .
	$(BIN)/python docs/check_wheel.py dist/*.whl

fuzz-pickle: $(VENV)/.installed-test
	$(BIN)/python -m tests.fuzz.pickle_differential --cases 3000000
	$(BIN)/python -m tests.fuzz.pickle_stepwise --cases 1000000

bench-scan bench-convert bench-signing: bench-%: $(VENV)/.installed-test
	$(BIN)/python benchmarks/$*.py

clean:
	rm -rf $(VENV) dist build demo-out .mypy_cache .ruff_cache .pytest_cache .hypothesis
