# Each target sets up what it needs in .venv; nothing else has to be installed but Python 3.11 or later, make and git.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test again faults histories kills check format bench storm up pictures clean lock audit sbom

help:  ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 10

setup: $(READY)  ## the environment in .venv

# uv installs the lock file in seconds; where it cannot reach an index that pip can, pip does the same in about a minute.
# Compiled at once, as pip does: uncompiled, a listing takes twice as long wherever Python may not write bytecode itself.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed: make PYTHON=python3.12" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@awk '/^uv==/ {on=1} on {print} on && !/\\$$/ {exit}' requirements.lock > .venv/uv.txt
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r .venv/uv.txt
	@echo "installing the locked dependencies into .venv"
	@$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements.lock 2>.venv/uv.log \
		|| $(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(READY)

demo: $(READY)  ## bill last month for some two hundred customers, end to end
	@$(BIN)/billing demo

# Two processes a processor: many a test waits, for a server that starts or a call that hangs on purpose.
# Compiled code is kept, whatever the shell says: each of these processes, and all that tests start, would compile anew.
test: $(READY)  ## all tests
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/pytest --numprocesses $$($(BIN)/python -c 'import os; print(2 * os.cpu_count())') --dist loadfile --no-loadscope-reorder

histories: $(READY)  ## random histories of corrections, settled: HISTORIES=200 of them
	@SETTLING_EXAMPLES=$(or $(HISTORIES),200) $(BIN)/pytest billing_pipeline_tests/corrections/test_settling_histories.py

again: $(READY)  ## a charged month materialised AGAIN=20 times through Dagster: no write to Stripe, no billed byte changed
	@MONTH_AGAIN=$(or $(AGAIN),20) $(BIN)/pytest billing_pipeline_tests/defs/test_month_again.py

faults: $(READY)  ## kill, cut, race and lose everything around charging; nobody is charged twice or forgotten
	@$(BIN)/python -m billing_pipeline_tests.faults $(FAULTS)

kills: $(READY)  ## kill what sends notices at every boundary; nothing is lost, every double is counted and named
	@$(BIN)/python -m billing_pipeline_tests.notices.kills $(KILLS)

check: $(READY)  ## format, lint, types, import rules, SQL, the script of CI, secrets
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache >.venv/imports.log || { cat .venv/imports.log; exit 1; }
	@$(BIN)/sqlfluff lint --quiet sql
	@$(BIN)/shellcheck .ci/run
	@$(BIN)/kingfisher scan . $(SECRETS) >.venv/secrets.log 2>&1 || { cat .venv/secrets.log; exit 1; }

# nothing leaves the machine: whether a key that was found works is not asked
SECRETS := --no-validate --no-update-check --git-history none --exclude .venv --exclude .billing --redact \
	--rule-cache-dir .venv/kingfisher

format: $(READY)  ## put code and SQL into the house style
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .
	@$(BIN)/sqlfluff fix sql

bench: $(READY)  ## rows per second of each asset beside COPY of the same rows
	@$(BIN)/billing bench $(BENCH)

storm: $(READY)  ## webhooks under load while things die; the last line is JSON
	@$(BIN)/python -m billing_pipeline_tests.storm $(STORM)

up: $(READY)  ## UI on http://127.0.0.1:3000, daemon, receiver and Stripe emulator until Ctrl-C
	@$(BIN)/billing up

pictures: $(READY)  ## pictures of the pages from the demo's data into docs/pictures; PICTURES="--looks --to DIR" of all
	@$(BIN)/python -m billing_pipeline_tests.pictures $(PICTURES)

lock: $(READY)  ## resolve the dependencies of pyproject.toml anew
	@$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--no-strip-extras --group dev --upgrade --quiet pyproject.toml --output-file requirements.lock

# strict: without it a package that the service does not know of, or does not answer for, would pass
audit: $(READY)  ## known weaknesses of what requirements.lock installs; fails too where that cannot be found out
	@$(BIN)/pip-audit --strict --require-hashes --disable-pip --requirement requirements.lock

sbom: $(READY)  ## what is installed, as CycloneDX: sbom.json
	@$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --output-format JSON \
		--output-file sbom.json $(BIN)/python

clean:  ## remove the environment and all local state
	@rm -rf .venv .billing
