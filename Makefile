# make run   set up .venv and run the pipeline on the default data
# make test  set up what tests need and run the suite
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export PYTHONPATH := $(CURDIR)/src
export DVC_NO_ANALYTICS := 1
export GX_ANALYTICS_ENABLED := False

# the columns of 'dvc exp show' that a person needs
SHOWN := ^(Experiment|model|cells|data[.]raw|auroc|between_mean|gap)$$

# what 'make study' compares: entries of 'models' in params.yaml
STUDY := deepchrome deepchrome_avg deepchrome_strided fully_connected \
  linear linear_sum linear_mean linear_median linear_min $(if $(ALL),attentive transformer)

# what 'make fuzz' tries: inputs in all, from which seed
FUZZ := 10000
SEED := 0

help: ## list what make can do
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

run: $(VENV)/run ## install, run every stage that is out of date, and show the results
	@dvc repro
	@python -m deepchrome summary

test: $(VENV)/dev ## install what tests need and run the test suite
	pytest -n 2 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

fuzz: $(VENV)/dev ## damage files of every kind and see that none is read wrongly; FUZZ=10000 inputs
	PYTHONPATH=$(CURDIR)/tests:$(PYTHONPATH) python -m fuzz --inputs $(FUZZ) --seed $(SEED)

reliability: $(VENV)/dev ## print the tables of docs/reliability.md: tests of crashes, and 'fuzz'
	PYTHONPATH=$(CURDIR)/tests:$(PYTHONPATH) python -m fuzz.reliability --inputs $(FUZZ) --seed $(SEED)

lint: $(VENV)/dev ## check style, types, imports between packages and the workflow files
	ruff check .
	ruff format --check .
	mypy
	lint-imports
	check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

format: $(VENV)/dev ## format the code
	ruff check --fix .
	ruff format .

experiments: $(VENV)/run ## table of experiments, 120 characters wide
	@COLUMNS=120 dvc exp show --no-pager --drop '.*' --keep '$(SHOWN)'

study: $(VENV)/run ## run the architectures as experiments and compare them; ALL=1: slow ones too
	@dvc repro validate
	@for model in $(STUDY); do \
	  if dvc exp list --name-only | grep -qx "study-$$model"; then \
	    echo "study-$$model: run before on this commit"; \
	  else \
	    dvc exp run --temp -n study-$$model -S model=$$model evaluate cross_cell || exit 1; \
	  fi; \
	done
	@python -m deepchrome compare $(STUDY:%=study-%) --output reports/study

lock: $(VENV)/dev ## pin the newest versions that pyproject.toml admits
	pip install -q pip-tools
	for extra in "" dev; do \
	  pip-compile -q --upgrade --strip-extras --no-header --no-annotate --no-emit-index-url \
	    --no-emit-trusted-host --no-emit-find-links $${extra:+--extra $$extra} \
	    -o requirements$${extra:+-$$extra}.lock pyproject.toml || exit 1; \
	  sed -i 's/^\(torch==[0-9.]*\)+.*/\1/' requirements$${extra:+-$$extra}.lock; \
	done

$(VENV)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/run: $(VENV)/python requirements.lock pyproject.toml
	@echo "Installing into $(VENV) (torch alone is large; this happens once)"
	$(VENV)/bin/python -m pip install -q --disable-pip-version-check -r requirements.lock
	$(VENV)/bin/python -m pip install -q --disable-pip-version-check --no-deps -e .
	@touch $@

$(VENV)/dev: $(VENV)/run requirements-dev.lock
	$(VENV)/bin/python -m pip install -q --disable-pip-version-check -r requirements-dev.lock
	@touch $@

.PHONY: help run test fuzz reliability lint format experiments study lock
