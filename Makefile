PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo
JOBS := 2

.PHONY: install demo test test-napari fuzz lint docs bench

install: $(VENV)/installed

$(VENV)/installed: setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v <= (3, 13) or sys.exit(f"cellzoo needs Python 3.11 to 3.13, and $(PYTHON) is {v[0]}.{v[1]}: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	@echo "Installing TensorFlow and the rest into $(VENV), 3.5 GB: a few minutes without a word"
	$(BIN)/pip install --quiet --editable .
	@touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/pip install --quiet --editable '.[test,lint]'
	@touch $@

demo: install
	$(BIN)/zoo eval qcanet --metric iou,seg,mucov,det_f1 --out $(DEMO) --overwrite
	@echo "Look at $(DEMO)/report.html"

test: $(VENV)/installed-test
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/numpydoc lint $$(find zoo fusion data train evaluate -name '*.py')

# a real window on a screen in memory: needs Xvfb
test-napari: $(VENV)/installed-test
	$(BIN)/pip install --quiet --editable '.[napari,test]'
	$(BIN)/python -m pytest tests/e2e/test_napari.py

# 10,000 examples of each property, for nights
fuzz: $(VENV)/installed-test
	$(BIN)/python -m pytest -m hypothesis --hypothesis-profile=nightly tests/unit tests/properties

$(VENV)/installed-docs: $(VENV)/installed
	$(BIN)/pip install --quiet --editable '.[docs]'
	@touch $@

docs: $(VENV)/installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: $(VENV)/installed-test
	$(BIN)/python benchmarks/bench_all.py
