# make run    sets everything up, starts Parley on this machine and prints its address
# make test   sets everything up and runs all checks and tests
# make soak   sets everything up and has 30 users come and go for half an hour: memory must stay flat
# PYTHON=/path/to/python chooses the Python; ARGS="--port 9000" are handed to `parley up` or to pytest

BIN := .venv/bin
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url

.PHONY: run test setup lint docs dashboards lock soak clean

run:
	@scripts/setup.sh run
	@$(BIN)/parley up $(ARGS)

test: lint
	@$(BIN)/pytest -n 2 --dist loadgroup $(ARGS)

setup:
	@scripts/setup.sh test

lint: setup
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright
	@$(BIN)/lint-imports

dashboards: setup
	@$(BIN)/python -m observability.dashboards

docs: setup
	@$(BIN)/python scripts/configuration_table.py --write
	@$(BIN)/python scripts/metrics_table.py --write

# Brings the lock files up to the newest versions that fit; `make lock UPGRADE=` only adds and drops what pyproject.toml says.
UPGRADE := --upgrade
lock: setup
	@$(LOCK) $(UPGRADE) --extra embedded pyproject.toml -o requirements.lock
	@$(LOCK) $(UPGRADE) --extra embedded --extra loadtest --group dev -c requirements.lock pyproject.toml -o requirements-dev.lock

# Half an hour in which 30 users come and go; MINUTES=5 for less of it.
MINUTES := 30
soak: setup
	@$(BIN)/parley loadtest --soak --users 30 --turns 3 --minutes $(MINUTES) --report .parley/soak $(ARGS)

clean:
	@rm -rf .venv .parley parley.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache .grimp_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
