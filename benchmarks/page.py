"""The page and `mixpref view` of a large run: `python -m benchmarks.page [--pairs 50000] [--output DIR]`.

Makes a run of so many pairs, four a problem with a picture of its own, as the stages' own store writes it. Told are the
time and size of `report.html`, and of `mixpref view` the time until the lists can be filtered, that of a filter, of the
first search for a text, and the peak of memory, each in a process of its own. Prints a table of docs/benchmarks.md; the
exit status is 1 where the file is 20 MB or more, or where a search does not find what is there.
"""

from __future__ import annotations

import io
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from shutil import rmtree
from typing import TypeVar

import tyro
from PIL import Image

from mixpref.recipe import Recipe
from mixpref.records import PreferencePair, Problem, Response, Verdict
from mixpref.rundir import Run

PAIRS_A_PROBLEM = 4
SHARD = 1024
WORDS = ("the", "bar", "circle", "line", "is", "of", "and", "higher", "left", "seven", "twelve", "therefore", "so")
NEEDLE = "Needle"

Result = TypeVar("Result")


def make(output: Path, pairs: int) -> None:
    """Write the run. Of all its chosen texts, one in 1,000 has the word that is searched for."""
    rmtree(output, ignore_errors=True)
    draw = Random(0)
    with Run.open(output, Recipe(name="large")) as run:
        problems, train = -(-pairs // PAIRS_A_PROBLEM), run.problems("train")
        for shard, start in enumerate(range(0, problems, SHARD)):
            asked = [_problem(number, draw) for number in range(start, min(start + SHARD, problems))]
            responses, verdicts, made = [], [], []
            for number, problem in enumerate(asked, start):
                for turn in range(PAIRS_A_PROBLEM):
                    needle = f" {NEEDLE}" if (number * PAIRS_A_PROBLEM + turn) % 1000 == 0 else ""
                    texts = [_text(draw, 60) + needle + "\nFinal answer: 7", _text(draw, 40) + "\nFinal answer: 8"]
                    both = [_response(problem, 2 * turn + place, text) for place, text in enumerate(texts)]
                    responses += both
                    verdicts += [
                        Verdict(outcome=outcome, answer=answer, response_id=each.id)  # type: ignore[arg-type]
                        for each, outcome, answer in zip(both, ("correct", "wrong"), "78", strict=True)
                    ]
                    made.append(_pair(problem, both))
            key = f"{shard:05d}"
            train.append(key, asked)
            run.responses.append(key, responses)
            run.verdicts.append(key, verdicts)
            run.pairs.append(key, made)
        run.problems("held_out").finish({}, {})
        for artifact in (train, run.responses, run.verdicts, run.pairs):
            artifact.finish({}, {})


def _problem(number: int, draw: Random) -> Problem:
    stream = io.BytesIO()
    Image.effect_noise((48, 36), draw.uniform(10, 90)).convert("RGB").save(stream, "PNG")
    family = ("chart", "table", "clock", "shapes")[number % 4]
    return Problem(question=f"What is in picture {number}?", answer="7", images=(stream.getvalue(),), family=family)


def _text(draw: Random, words: int) -> str:
    return " ".join(draw.choices(WORDS, k=words))


def _response(problem: Problem, sample: int, text: str) -> Response:
    return Response(
        problem_id=problem.id, sample=sample, text=text, tokens=len(text.split()), finish="stop", seed=sample,
        style="en", sampler="made T=1", logprob=None,
    )  # fmt: skip


def _pair(problem: Problem, both: list[Response]) -> PreferencePair:
    return PreferencePair(
        problem_id=problem.id,
        chosen=both[0].text,
        rejected=both[1].text,
        why="correctness",
        style="en",
        chosen_origin=f"{both[0].id} made T=1",
        rejected_origin=f"{both[1].id} made T=1",
    )


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def written(path: Path) -> dict[str, float]:
    """Time and size of the page."""
    from mixpref.recipe import load
    from mixpref.reporting.stage import report

    with Run.open(path, load(path / "recipe.yaml"), exclusive=False) as run:
        seconds, file = timed(lambda: report(run))
    return {"seconds": seconds, "size": file.stat().st_size / 1e6}


def viewed(path: Path) -> dict[str, float]:
    """Times of what `mixpref view` does before and for a request."""
    from mixpref.recipe import load
    from mixpref.reporting.index import Query
    from mixpref.reporting.live import LiveRun

    with Run.open(path, load(path / "recipe.yaml"), exclusive=False) as run:
        live = LiveRun(run)
        ready, _ = timed(live.facets)
        filtered, (total, _) = timed(lambda: live.find("pairs", Query(values={"family": "chart"}, page=3)))
        searched, (found, _) = timed(lambda: live.find("pairs", Query(text=NEEDLE.upper())))
    return {"ready": ready, "filter": filtered, "search": searched, "filtered": total, "found": found}


def alone(what: str, path: Path) -> dict[str, float]:
    """The figures of one measurement in a process of its own, with its peak of memory in MB."""
    command = [sys.executable, "-m", "benchmarks.page", "--measure", what, "--output", str(path)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def main(pairs: int = 50_000, output: Path = Path("runs/page"), measure: str | None = None) -> int:
    """pairs: of the run. measure: for the processes that this one starts."""
    if measure is not None:
        found = {"written": written, "viewed": viewed}[measure](output)
        print(json.dumps(found | {"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000}))
        return 0
    make(output, pairs)
    page, view = alone("written", output), alone("viewed", output)
    print(
        "| pairs | page, s | its size, MB | its peak, MB | view ready, s | a filter, s | a search, s | its peak, MB |"
    )
    print("|---|---|---|---|---|---|---|---|")
    print(
        f"| {pairs:,} | {page['seconds']:.1f} | {page['size']:.1f} | {page['peak']:,.0f} | {view['ready']:.2f} | "
        f"{view['filter']:.3f} | {view['search']:.2f} | {view['peak']:,.0f} |"
    )
    right = view["found"] == -(-pairs // 1000) and view["filtered"] == pairs // 4
    if not right:
        print(f"\nNOT RIGHT: {view['found']:.0f} found, {view['filtered']:.0f} left by the filter")
    if page["size"] >= 20:
        print("NOT MET: a page below 20 MB")
    return int(not right or page["size"] >= 20)


if __name__ == "__main__":
    sys.exit(tyro.cli(main))
