# Everything a newcomer needs: `make serve` and `make test`. The rest is for those who change things.
PYTHON ?= python3.11
UV_VERSION := 0.13.9
UV := .tools/bin/uv
# uv does not read pip's settings; a configured find-links folder may hold the CPU build of torch.
export UV_FIND_LINKS ?= $(shell $(PYTHON) -m pip config get global.find-links 2>/dev/null || printf '%s' "$$PIP_FIND_LINKS")
export UV_COMPILE_BYTECODE := 1
export UV_LINK_MODE := copy

.PHONY: serve test lint train bench clean env dev engine engine-tensorflow system-packages

serve: env engine  ## start the whole assistant on http://127.0.0.1:8000
	.venv/bin/minsheng serve

test: dev engine system-packages lint  ## run every check and every test
	.venv/bin/python -m pytest

lint: dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

train: dev  ## rebuild the shipped language model
	.venv/bin/minsheng nlu train --requests city/demo/routing_examples.jsonl

bench: dev engine engine-tensorflow  ## print the measured claims of docs/benchmarks.md
	.venv/bin/python benchmarks/turn_latency.py
	.venv/bin/python benchmarks/nlu_quality.py
	.venv/bin/python benchmarks/nlu_speed.py

clean:
	rm -rf .venv .tools engine/.venv engine/.venv-tensorflow engine/models build reports results

env: .venv/.app
dev: .venv/.dev
engine: engine/.venv/.installed
engine-tensorflow: engine/.venv-tensorflow/.installed  ## Rasa with DIET and TED (2.7 GB), for config.yml and the benchmark

$(UV):
	$(PYTHON) -m venv .tools
	.tools/bin/pip install --quiet uv==$(UV_VERSION)

.venv/bin/python: | $(UV)
	$(UV) venv --quiet --python $(PYTHON) .venv

.venv/.app: requirements/app.txt pyproject.toml | .venv/bin/python
	$(UV) pip install --quiet --python .venv/bin/python -r requirements/app.txt setuptools
	$(UV) pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
	touch $@

.venv/.dev: requirements/dev.txt pyproject.toml | .venv/bin/python
	$(UV) pip sync --quiet --python .venv/bin/python requirements/dev.txt
	$(UV) pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
	touch $@ .venv/.app

engine/.venv/.installed: engine/requirements.txt | $(UV)
	$(UV) venv --quiet --clear --python $(PYTHON) engine/.venv
	$(UV) pip sync --quiet --python engine/.venv/bin/python engine/requirements.txt
	touch $@

engine/.venv-tensorflow/.installed: engine/requirements-tensorflow.txt | $(UV)
	$(UV) venv --quiet --clear --python $(PYTHON) engine/.venv-tensorflow
	$(UV) pip sync --quiet --python engine/.venv-tensorflow/bin/python engine/requirements-tensorflow.txt
	touch $@

system-packages:
	bash tests/system_packages.sh
