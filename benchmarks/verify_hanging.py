"""A batch in which 1 % of the answers make computer algebra hang: `python -m benchmarks.verify_hanging`.

The others are fractions of pi, right or wrong, in forms that differ from the gold answer's. The exit status is 1 where
a verdict is not the expected one, or where the batch takes longer than its limit: seconds x hanging / workers + 10 %.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import tyro

from mixpref.records import Problem
from mixpref.verifying import verify_all
from mixpref.verifying.pool import Pool


@dataclass(frozen=True)
class Settings:
    """How much there is to do."""

    answers: int = 2000
    workers: int = 2
    seconds: float = 5.0


def cases(answers: int) -> Iterator[tuple[Problem, str, str]]:
    """Problems, answers, and the expected outcome."""
    for index in range(answers):
        problem = Problem(question=f"What is it for {index}?", answer=f"\\frac{{{index + 1}\\pi}}{{7}}")
        if index % 100 == 50:
            yield problem, f"\\sum_{{k=1}}^{{10^9}} k^k + {index}", "error"
        elif index % 2:
            yield problem, f"\\frac{{{2 * index + 2}}}{{14}}\\pi", "correct"
        else:
            yield problem, f"{index}\\pi/7", "wrong"


def main(settings: Settings) -> int:
    """Print time, limit and outcomes."""
    found = list(cases(settings.answers))
    hanging = sum(expected == "error" for _, _, expected in found)
    with Pool(settings.workers, settings.seconds) as pool:
        # Starting the workers costs the same whatever hangs.
        pool.run({})
        begin = time.perf_counter()
        verdicts = list(verify_all(((problem, answer, "direct") for problem, answer, _ in found), pool=pool))
        seconds = time.perf_counter() - begin
    differing = [verdict for verdict, case in zip(verdicts, found, strict=True) if verdict.outcome != case[2]]
    limit = settings.seconds * hanging / settings.workers * 1.1
    print(
        f"{len(found):,} answers, {hanging} hang: {seconds:.1f} s, limit {limit:.1f} s with {settings.workers} workers"
    )
    print(dict(Counter(verdict.outcome for verdict in verdicts)), f"{len(differing)} not as expected")
    return int(bool(differing) or seconds > limit)


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Settings)))
