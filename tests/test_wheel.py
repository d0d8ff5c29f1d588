"""The built wheel, installed in an environment of its own, runs the demo from any folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_wheel_runs_the_demo_from_any_folder(tmp_path):
    def call(*command, cwd=ROOT):
        done = subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    call(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path / "dist"), ".")
    (wheel,) = (tmp_path / "dist").glob("mixpref-*.whl")
    call(sys.executable, "-m", "venv", str(tmp_path / "venv"))
    python = tmp_path / "venv" / "bin" / "python"
    call(
        str(python), "-m", "pip", "install", "--quiet", "-c", str(ROOT / "constraints.txt"), "torch==2.13.0", str(wheel)
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    small = ("--problems.train", "24", "--problems.held-out", "20", "--output", "run")
    printed = call(str(tmp_path / "venv" / "bin" / "mixpref"), "demo", *small, cwd=elsewhere)
    assert (elsewhere / "run" / "report.html").exists()
    assert "mpo" in printed.lower()
