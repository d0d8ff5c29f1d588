"""A whole run on scripted answers and a tiny model, as a process of its own that a test may kill.

python tests/killable.py RECIPE OUTPUT
"""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import Any

from scripted import ScriptedEngine

from mixpref.cli import main
from mixpref.sampling import stage


class SlowEngine(ScriptedEngine):
    """Slow enough to be killed in the middle of the sampling."""

    def answer(self, requests: Any, sampling: Any) -> Any:
        for each in super().answer(requests, sampling):
            time.sleep(0.05)
            yield each


if __name__ == "__main__":
    stage.sample = partial(stage.sample, engine_factory=SlowEngine)  # type: ignore[assignment]
    sys.exit(main(["run", sys.argv[1], "--output", sys.argv[2]]))
