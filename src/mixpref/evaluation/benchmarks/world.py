"""The built-in world: 600 problems of its five closed families, the same in every run and drawn on the spot.

Their contents - what is drawn and what is asked - belong to the world's held-out fifth, of which no training problem is
made, whatever its seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mixpref import world
from mixpref.evaluation.benchmark import Benchmark, Row, row
from mixpref.records import Problem

SEED = 241110442
EACH = 120
"""Problems of a family."""


def load(where: Path) -> Iterator[Row]:
    """The problems, the families taking turns. `where` is not looked at."""
    streams = [(family, _different(family)) for family in world.FAMILIES]
    for turn in range(EACH):
        for family, stream in streams:
            yield row(next(stream), f"{family}-{turn}", [f"family: {family}"])


def _different(family: str) -> Iterator[Problem]:
    """The first problems of a family, none twice. A small family asks the same of another drawing now and then."""
    seen: set[str] = set()
    # The generator draws with replacement.
    for problem in world.problems("held_out", SEED, 10 * EACH, (family,)):
        if problem.id not in seen:
            seen.add(problem.id)
            yield problem


BENCHMARKS = (
    Benchmark(
        name="world",
        title="Built-in world (600 problems)",
        hub="mixpref's own",
        get="",
        files="none: the problems are drawn",
        licence="Apache-2.0",
        metric="accuracy",
        version=f"held-out contents, seed {SEED}",
        load=load,
    ),
)
