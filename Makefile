# `make demo` and `make test` are all one needs; both set up `.venv` first.
PYTHON ?= python3
BIN := .venv/bin
RUN ?= runs/demo

.PHONY: venv demo test test-all test-vllm browser check bench bench-step bench-verify bench-pairs bench-evaluation bench-mmpr wheel clean

venv: .venv/ready

# torch first and pinned: any other way in would pull the CUDA build.
.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -c constraints.txt torch==2.13.0
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

.venv/peers: .venv/ready
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev,peers]'
	touch $@

demo: venv
	$(BIN)/mixpref demo --output $(RUN)

test: venv
	$(BIN)/python -m pytest

test-all: .venv/peers
	$(BIN)/python -m pytest -m 'not vllm'

# Sampling from a real vLLM (its CPU build, in .venv-vllm): several gigabytes of disk, minutes.
test-vllm: venv
	PYTHON=$(PYTHON) sh tests/engines/vllm_setup.sh
	$(BIN)/python -m pytest -m vllm tests/engines/test_vllm.py

# Debian's Chromium, in which the tests look at the page; needs root. Without it they are skipped.
browser:
	command -v chromium > /dev/null || (apt-get update -qq && apt-get install -qq -y chromium > /dev/null)

check: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Three seeds of the demo with the baselines, and the table of docs/benchmarks.md.
bench: venv
	$(BIN)/python -m benchmarks.demo

# A training step against TRL's, in time, memory and gradients.
bench-step: .venv/peers
	$(BIN)/python -m benchmarks.step

# The verifier: its speed against math-verify's, its verdicts against labelled outputs.
bench-verify: venv
	$(BIN)/python -m benchmarks.verify
	$(BIN)/python -m benchmarks.verify_parity
	$(BIN)/python -m benchmarks.mathvista_raw
	$(BIN)/python -m benchmarks.math_verify_cases
	$(BIN)/python -m benchmarks.verify_hanging

# The pair factory: sampling here and from servers, adaptive rounds, blind continuations.
bench-pairs: venv
	$(BIN)/python -m benchmarks.generation
	$(BIN)/python -m benchmarks.serving
	$(BIN)/python -m benchmarks.adaptive
	$(BIN)/python -m benchmarks.dropout

# What evaluating costs beside generating; the page of a large run.
bench-evaluation: venv
	$(BIN)/python -m benchmarks.evaluation
	$(BIN)/python -m benchmarks.page

# A million rows of MMPR against datasets.
bench-mmpr: .venv/peers
	$(BIN)/python -m benchmarks.mmpr
	$(BIN)/python -m benchmarks.streaming

# The wheel in an empty environment, away from the checkout.
wheel: venv
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .

clean:
	rm -rf .venv build dist runs .pytest_cache .mypy_cache .ruff_cache
