"""The public names, and that the light part of the package stays light."""

from __future__ import annotations

import subprocess
import sys

import pytest

import mixpref

HEAVY = ("torch", "transformers", "pyarrow", "matplotlib", "PIL", "numpy")


@pytest.mark.parametrize(
    "program", ["import mixpref", "import mixpref.cli; mixpref.cli.main(['--help'])", "import mixpref; mixpref.verify"]
)
def test_nothing_heavy_is_loaded(program: str) -> None:
    check = f"import sys; sys.exit([name for name in {HEAVY} if name in sys.modules] or 0)"
    done = subprocess.run([sys.executable, "-c", f"{program}\n{check}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_help_of_a_command_loads_no_torch() -> None:
    program = "import mixpref.cli, sys\ntry: mixpref.cli.main(['run', '--help'])\nexcept SystemExit: pass\n"
    check = "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program + check], stdout=subprocess.DEVNULL).returncode == 0


def test_the_records_and_the_verifier() -> None:
    problem = mixpref.Problem(question="1 + 1?", answer="2")
    assert mixpref.verify(problem, "One and one.\nFinal answer: 2").outcome == "correct"
    assert mixpref.verify(problem, "2", style="direct").outcome == "correct"
    for name in ("Response", "Verdict", "PreferencePair", "Score"):
        assert getattr(mixpref, name).__name__ == name


def test_the_training_surface() -> None:
    for name in ("mpo_loss", "MPOConfig", "MPOTrainer"):
        assert getattr(mixpref, name).__name__ == name


def test_names() -> None:
    assert set(dir(mixpref)) == {*mixpref.__all__, "__version__"}
    assert isinstance(mixpref.__version__, str)
    with pytest.raises(AttributeError, match="no attribute 'mpo_los'"):
        _ = mixpref.mpo_los
