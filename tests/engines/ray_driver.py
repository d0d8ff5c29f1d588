"""Answers units on a cluster, as a process of its own: Ray's settings hold for a process.

python tests/engines/ray_driver.py FOLDER ADDRESS|none WORKERS UNITS SECONDS

Leaves `answers.pickle` in the folder: what came out, in its order. Exits with 3 where a process of Ray is left.
"""

from __future__ import annotations

import os
import pickle
import sys
from functools import partial
from pathlib import Path

from ray_nodes import descendants
from rote import RoteEngine, RoteUnits, note

from mixpref.engines.ray import answer_units
from mixpref.engines.request import Sampling

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    answered = []
    for unit in answer_units(
        RoteUnits(folder),
        [str(number) for number in range(int(sys.argv[4]))],
        partial(RoteEngine, folder, seconds=float(sys.argv[5])),
        Sampling(),
        workers=int(sys.argv[3]),
        address=None if sys.argv[2] == "none" else sys.argv[2],
    ):
        note(folder, "out", unit[0])
        answered.append(unit)
    (folder / "answers.pickle").write_bytes(pickle.dumps(answered))
    if len(descendants(os.getpid())) > 1:
        sys.exit(3)
