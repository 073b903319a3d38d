PYTHON ?= python3
VENV ?= .venv
NAME ?= scattering
CASCADE = skwave/functional/_scattering/cascade.cpp
RUN = $(VENV)/bin/python
INSTALL = $(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test test-faults test-oldest lint package docs bench clean

demo: $(VENV)/.plot  ## images and molecules by grid search: prints tables, writes demo.png
	$(RUN) examples/demo.py

test: $(VENV)/.test  ## run the tests
	$(RUN) -m pytest

test-faults: $(VENV)/.test  ## kills, full disks, hostile files: some minutes
	OMP_NUM_THREADS=1 $(RUN) -m pytest -m faults tests/trials

# all but torch, whose older wheels bring gigabytes of CUDA; pandas is the newest for this numpy
OLDEST = numpy==1.26.0 scipy==1.14.0 scikit-learn==1.7.0 joblib==1.4.0 skorch==1.1.0 pandas==2.2.3

test-oldest:  ## scikit-learn's estimator checks with the oldest supported versions
	$(MAKE) $(VENV)-oldest/bin/python VENV=$(VENV)-oldest
	$(VENV)-oldest/bin/python -m pip install --quiet --disable-pip-version-check \
		$(OLDEST) $(shell grep -E '^(torch|pytest|iniconfig|pluggy)==' constraints.txt)
	PYTHONPATH=. $(VENV)-oldest/bin/python -m pytest tests/test_common.py tests/test_api.py

lint: $(VENV)/.test  ## style, layers, docstrings and types
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(VENV)/bin/lint-imports --no-cache
	$(RUN) -m numpydoc lint $(shell git ls-files 'skwave/*.py')
	$(RUN) -m mypy

package: $(VENV)/.test  ## build the sdist and the wheel, and run what they hold
	rm -rf dist
	$(RUN) -m hatchling build -t sdist
	mkdir dist/sdist
	tar -xzf dist/skwave-*.tar.gz -C dist/sdist --strip-components=1
	cd dist/sdist && $(abspath $(RUN)) -m hatchling build -t wheel -d $(abspath dist)
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --target dist/site dist/*.whl
	cd dist && PYTHONPATH=$(abspath dist/site) MPLBACKEND=Agg $(abspath $(RUN)) ../.ci/installed.py

docs: $(VENV)/.docs  ## build the documentation into docs/_build/html, and check its pages
	OMP_NUM_THREADS=1 $(RUN) -m sphinx -W --keep-going -b html docs docs/_build/html
	$(RUN) docs/check_site.py docs/_build/html

bench: $(VENV)/.bench  ## make bench NAME=scattering
	$(RUN) benchmarks/$(NAME).py

clean:
	rm -rf $(VENV) $(VENV)-oldest dist docs/_build docs/auto_examples docs/generated

# an environment, then one stamp for each extra installed into it
$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.%: pyproject.toml constraints.txt hatch_build.py $(CASCADE) | $(VENV)/bin/python
	$(INSTALL) torch
	$(INSTALL) --editable ".[$*]"
	touch $@
