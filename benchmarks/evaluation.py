"""What evaluating costs beside generating: `python -m benchmarks.evaluation [--output DIR]`.

The embedded model on the built-in world's 600 held-out problems, directly and by chains of thought, in one process.
Generating is the time within the engine, less the reading of what it is asked; everything else - problems, verdicts,
scores, files - is what evaluating adds. Prints a table of docs/benchmarks.md; the exit status is 1 where that is 5 %
or more, or where a second evaluation in another directory does not give the same scores, byte for byte.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree

import tyro

from mixpref import pipeline, recipe
from mixpref.engines.request import Engine, Request, Sampling
from mixpref.engines.transformers import TransformersEngine
from mixpref.evaluation.stage import evaluate
from mixpref.records import Response
from mixpref.rundir import Run


@dataclass
class Timed:
    """An engine that measures itself."""

    engine: Engine
    generating: float = 0.0
    reading: float = 0.0

    def answer(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[tuple[int, tuple[Response, ...]]]:
        answers = self.engine.answer(self._read(requests), sampling)
        while True:
            started = time.perf_counter()
            answer = next(answers, None)
            self.generating += time.perf_counter() - started
            if answer is None:
                return
            yield answer

    def _read(self, requests: Iterable[Request]) -> Iterator[Request]:
        remaining = iter(requests)
        while True:
            started = time.perf_counter()
            request = next(remaining, None)
            self.reading += time.perf_counter() - started
            if request is None:
                return
            yield request


@dataclass
class Times:
    total: float = 0.0
    loading: float = 0.0
    engines: list[Timed] = field(default_factory=list)

    @property
    def generating(self) -> float:
        return sum(engine.generating - engine.reading for engine in self.engines)


def measure(output: Path) -> tuple[Times, bytes]:
    """Times of one evaluation from an empty directory, and its scores."""
    rmtree(output, ignore_errors=True)
    times = Times()

    def load(model: str) -> Engine:
        started = time.perf_counter()
        times.engines.append(Timed(TransformersEngine(model, name=model, batch_size=settings.evaluation.batch_size)))
        times.loading += time.perf_counter() - started
        return times.engines[-1]

    settings = recipe.load("demo")
    with Run.open(output, settings) as run:
        pipeline.run_stage(run, "problems")
        started = time.perf_counter()
        evaluate(run, ("base",), load)
        times.total = time.perf_counter() - started
        return times, (run.scores_dir / "base.json").read_bytes()


def main(output: Path = Path("runs/evaluation-benchmark")) -> int:
    # The first one pays for imports and warms up.
    measure(output / "warm-up")
    found = [measure(output / str(turn)) for turn in range(2)]
    print("| turn | whole, s | generating, s | loading the model, s | the rest, s | share of the rest |")
    print("|---|---|---|---|---|---|")
    shares = []
    for turn, (times, _) in enumerate(found, start=1):
        rest = times.total - times.generating - times.loading
        shares.append(rest / times.total)
        print(
            f"| {turn} | {times.total:.1f} | {times.generating:.1f} | {times.loading:.2f} | {rest:.2f} | "
            f"{100 * shares[-1]:.1f} % |"
        )
    same = found[0][1] == found[1][1]
    print(f"\nscores of both turns: {'the same bytes' if same else 'NOT THE SAME'}")
    if max(shares) >= 0.05:
        print("NOT MET: less than 5 % outside generation")
    return int(not same or max(shares) >= 0.05)


if __name__ == "__main__":
    sys.exit(tyro.cli(main))
