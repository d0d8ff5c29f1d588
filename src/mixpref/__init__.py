"""mixpref makes vision-language models reason better by Mixed Preference Optimization (MPO, arXiv 2411.10442).

The records, the verifier, the loss and the trainer are here; each is imported when it is first asked for, so that
`import mixpref` loads neither torch nor transformers.
"""

from __future__ import annotations

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mixpref.records import PreferencePair, Problem, Response, Score, Verdict
    from mixpref.training.objective import mpo_loss
    from mixpref.training.trainer import MPOConfig, MPOTrainer
    from mixpref.verifying import verify, verify_all

__all__ = [
    "MPOConfig",
    "MPOTrainer",
    "PreferencePair",
    "Problem",
    "Response",
    "Score",
    "Verdict",
    "mpo_loss",
    "verify",
    "verify_all",
]

_HOMES = {
    "MPOConfig": "mixpref.training.trainer",
    "MPOTrainer": "mixpref.training.trainer",
    "PreferencePair": "mixpref.records",
    "Problem": "mixpref.records",
    "Response": "mixpref.records",
    "Score": "mixpref.records",
    "Verdict": "mixpref.records",
    "mpo_loss": "mixpref.training.objective",
    "verify": "mixpref.verifying",
    "verify_all": "mixpref.verifying",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        try:
            return metadata.version("mixpref")
        except metadata.PackageNotFoundError:
            # Used from a checkout that was never installed.
            return "0+unknown"
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
