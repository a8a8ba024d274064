# Every target sets up what it needs: a virtual environment from the constraints file, torch first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
WORKERS ?= 2
PARALLEL := -n $(WORKERS) --dist worksteal

.PHONY: demo test test-slow check docs paper vega test-light clean

demo: $(READY)  ## Fine-tune, audit, judge, merge and draw on the embedded model.
	$(BIN)/overmem demo

test: $(READY)  ## The default suite, on two processes unless WORKERS says otherwise.
	$(BIN)/pytest $(PARALLEL) -m "not slow"

test-slow: $(READY)  ## What takes minutes: real trainers, killed processes, two-process training.
	$(BIN)/pytest $(PARALLEL) -m slow

check: $(READY)  ## Format, lint, types, the import contract.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY)  ## The pages that are made from the docstrings, and the site with all of them; a dead link is an error.
	$(BIN)/python -m docs.making.methods docs/methods.md
	$(BIN)/python -m docs.making.api docs/api.md
	$(BIN)/python -m docs.making.schema docs/schema
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

paper: $(READY)  ## The page of claims, from the tables of the sweeps that have run.
	$(BIN)/python -m studies.paper.page

vega: $(READY)  ## The chart library that reports carry, as one script.
	$(BIN)/python -c "import vl_convert; print(vl_convert.javascript_bundle('window.vegaEmbed = vegaEmbed;'), end='')" \
		> src/overmem/assets/vega/vega-embed.js

test-light: $(READY)  ## The built wheel in an empty environment, without torch: logs are read, judged and drawn.
	$(BIN)/python tests/light/light.py

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

# torch alone and first: its constraint names a version of which a CPU build may be on hand, and nothing that comes
# after asks for another.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet "$$(grep '^torch==' constraints.txt | cut -d+ -f1)"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[audit,code,dev,docs]'
	touch $(READY)
