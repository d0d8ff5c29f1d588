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


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["benchmarks.generation", "--tiny", "--repeats", "1"], "greedy tokens are equal"),
        (["benchmarks.serving", "--tiny"], ""),
        (["benchmarks.adaptive", "--train", "20", "--no-evaluate"], "| adaptive |"),
        (["benchmarks.dropout", "--ratios", "0.5", "--train", "20", "--held-out", "20", "--steps", "5"], "| 0.5 |"),
    ],
)
def test_the_factorys_benchmarks_run_at_a_tiny_size(command, said, tmp_path):
    if command[0] in ("benchmarks.adaptive", "benchmarks.dropout"):
        command = [*command, "--output", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=Path(__file__).parents[1], capture_output=True, text=True
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert said in done.stdout + done.stderr


@pytest.mark.parametrize("name", ["mmpr", "streaming"])
def test_the_benchmarks_of_mmpr_find_equal_rows_at_a_tiny_size(name):
    pytest.importorskip("datasets", reason="datasets is not installed: pip install 'mixpref[peers]'")
    command = [sys.executable, "-m", f"benchmarks.{name}", "--tiny"]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("command", "said"),
    [(["benchmarks.page", "--pairs", "2000"], "| 2,000 |"), (["benchmarks.evaluation"], "the same bytes")],
)
def test_the_benchmarks_of_the_page_and_of_evaluating(command, said, tmp_path):
    command = [sys.executable, "-m", *command, "--output", str(tmp_path / "run")]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True)
    assert said in done.stdout, done.stdout + done.stderr
    assert "NOT RIGHT" not in done.stdout
