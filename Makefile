PYTHON ?= python3
VENV ?= .venv
NAME ?= scattering
RUN = $(VENV)/bin/python
INSTALL = $(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test test-oldest lint docs bench clean

demo: $(VENV)/.plot  ## images and molecules by grid search: prints tables, writes demo.png
	$(RUN) examples/demo.py

test: $(VENV)/.test  ## run the tests
	$(RUN) -m pytest

test-oldest:  ## scikit-learn's estimator checks with the oldest supported scikit-learn
	$(MAKE) $(VENV)-oldest/.test VENV=$(VENV)-oldest
	$(VENV)-oldest/bin/python -m pip install --quiet --disable-pip-version-check "scikit-learn==1.7.0"
	$(VENV)-oldest/bin/python -m pytest tests/test_common.py tests/test_scattering.py

lint: $(VENV)/.test  ## style and docstrings
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) -m numpydoc lint $(shell git ls-files 'skwave/*.py')

docs: $(VENV)/.docs  ## build the documentation into docs/_build/html, and check its pages
	OMP_NUM_THREADS=1 $(RUN) -m sphinx -W --keep-going -b html docs docs/_build/html
	$(RUN) docs/check_site.py docs/_build/html

bench: $(VENV)/.bench  ## make bench NAME=scattering
	$(RUN) benchmarks/$(NAME).py

clean:
	rm -rf $(VENV) $(VENV)-oldest docs/_build docs/auto_examples docs/generated

# an environment, then one stamp for each extra installed into it
$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.%: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) torch
	$(INSTALL) --editable ".[$*]"
	touch $@
