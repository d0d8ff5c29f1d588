"""The benchmarks still run, and still find what they compare equal."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def test_the_step_benchmark_runs_at_a_tiny_size():
    pytest.importorskip("trl", reason="TRL is not installed: pip install 'mixpref[peers]'")
    command = [sys.executable, "-m", "benchmarks.step", "--tiny", "--repeats", "1", "--no-memory"]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for setting in ("S1", "S2", "K8", "S1-checkpointing", "S1-lora"):
        assert f"{setting}: equal losses and gradients" in done.stderr


def test_the_verifiers_benchmarks_find_equal_verdicts_at_a_tiny_size():
    for command, said in (
        (["benchmarks.verify", "--tiny"], "verdicts are equal wherever both give one"),
        (["benchmarks.verify_hanging", "--answers", "300", "--seconds", "2"], "0 not as expected"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=Path(__file__).parents[1], capture_output=True, text=True
        )
        assert said in done.stdout, done.stdout + done.stderr
