"""A plan: what is asked in one pass over the problems, on disk before it begins.

What is left of an interrupted pass follows from the plan and from what has been answered, whoever goes on with it; and
a worker on another machine gets the requests of a unit by the unit's key alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from mixpref.engines.request import Request
from mixpref.recipe import Recipe
from mixpref.records import Problem
from mixpref.rundir import Run
from mixpref.seeds import derive
from mixpref.store import Artifact

# Asks a shard of the plan.
_SHARD = 16384


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One request of a plan; the problem itself stays where it is."""

    number: int
    """The problem's place in the artifact of problems, from 0."""
    style: str
    first: int = 0
    samples: int = 1
    prefix: str = ""
    blind: bool = False


class Plan:
    """The asks of a pass in units of `size`, each a shard of answers in the end. Fit to be pickled.

    seed: goes into the requests' seeds.
    """

    def __init__(self, path: Path, problems: Artifact[Problem], size: int, seed: int) -> None:
        self.asks: Artifact[Ask] = Artifact(path, Ask)
        self.problems = problems
        self.size = size
        self.seed = seed

    @property
    def finished(self) -> bool:
        return self.asks.finished

    def write(self, asks: Iterable[Ask], fates: Counter[str] | None = None) -> None:
        """Put the plan on the disk; what a killed run left of one is made anew. fates: kept in its counts."""
        self.asks.discard()
        remaining = iter(asks)
        index = 0
        while shard := list(islice(remaining, _SHARD)):
            self.asks.append(f"{index:05d}", shard)
            index += 1
        self.asks.finish({"seed": self.seed, "unit": self.size}, {"requests": len(self.asks), **(fates or {})})

    def keys(self) -> list[str]:
        """The units' keys, in their order."""
        return [f"{index:05d}" for index in range(-(-len(self.asks) // self.size))]

    def asks_of(self, key: str) -> list[Ask]:
        """The asks of a unit."""
        start = int(key) * self.size
        return self.asks.at(range(start, min(start + self.size, len(self.asks))))

    def __getitem__(self, key: str) -> Sequence[Request]:
        asks = self.asks_of(key)
        problems = self.problems.at([ask.number for ask in asks])
        return [
            Request(
                problem=problem,
                style=ask.style,
                samples=ask.samples,
                first=ask.first,
                seed=self.seed,
                prefix=ask.prefix,
                blind=ask.blind,
            )
            for ask, problem in zip(asks, problems, strict=True)
        ]


def first_asks(run: Run, samples: int) -> Iterator[Ask]:
    """Each training problem once, for `samples` responses; an open question for `open_samples`."""
    settings = run.recipe.sampling
    for number, (problem_id, answer) in enumerate(run.problems("train").columns("id", "answer")):
        if is_open(answer, run.recipe):
            yield Ask(number=number, style=settings.open_style, samples=settings.open_samples)
        else:
            style = style_of(problem_id, settings.style, settings.mix, run.recipe.seed)
            yield Ask(number=number, style=style, samples=samples)


def is_open(answer: Collection[str] | None, recipe: Recipe) -> bool:
    """Whether nobody can tell if a response is right: there is no gold answer, and no judge."""
    return answer is None and recipe.verifying.judge is None


def style_of(problem_id: str, style: str, mix: Mapping[Any, float], seed: int) -> str:
    """The prompt style of a problem: one of the mix by its weights, or `style` where there is no mix.

    All samples of a problem are asked for in the same style, because the two sides of a pair share their prompt.
    """
    if not mix:
        return style
    # In the order of the names: a recipe's own order shall not matter.
    styles = sorted(mix)
    return Random(derive(seed, "style", problem_id)).choices(styles, [mix[each] for each in styles])[0]
