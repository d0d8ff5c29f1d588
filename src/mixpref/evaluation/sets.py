"""What models are asked: the run's held-out problems and the benchmarks, each a set of problems on the disk.

benchmarks/pope/problems  what is asked, each different question once
benchmarks/pope/items     the benchmark's rows: which problem each is, its name and its groups
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mixpref.errors import MixprefError
from mixpref.evaluation.benchmark import Benchmark, Item, Style
from mixpref.evaluation.benchmarks import benchmark, folder_name
from mixpref.progress import say
from mixpref.records import Problem
from mixpref.store import Artifact

if TYPE_CHECKING:
    from mixpref.rundir import Run

_SHARD = 64
"""Problems a shard; they carry their images."""


@dataclass(frozen=True, kw_only=True)
class QuestionSet:
    """Problems that models are measured on."""

    name: str
    problems: Artifact[Problem]
    benchmark: Benchmark | None = None
    """None: the run's held-out problems."""
    items: Artifact[Item] | None = None
    """The benchmark's rows."""

    def prompt_style(self, style: Style, cot_style: str) -> str | None:
        """The prompt style that direct answers or chains of thought are asked for in; None: not asked so.

        cot_style: what the recipe asks for where the benchmark has no form of its own.
        """
        if self.benchmark is None:
            return cot_style if style == "cot" else style
        asked = self.benchmark.styles.get(style)
        return cot_style if asked == "en" else asked

    def rows(self) -> Iterator[Item]:
        """The rows, in their order; a held-out problem is a row of its family's."""
        if self.items is not None:
            yield from self.items
            return
        for problem_id, family, answer in self.problems.columns("id", "family", "answer"):
            # Open questions have no gold answer to count by; the manifests in `scores/items` count them.
            if answer is not None:
                yield Item(problem_id=problem_id, key=problem_id, groups=(family,) if family else ())


def sets(run: Run) -> list[QuestionSet]:
    """What the recipe asks for: the held-out problems first. What is not on the disk yet is put there.

    Raises MixprefError where a benchmark or its data is missing.
    """
    settings = run.recipe.evaluation
    found = []
    if settings.held_out:
        problems = run.problems("held_out")
        if not problems.finished:
            raise MixprefError(f"{problems.path} is not complete; run `mixpref run` from its start")
        name = "world" if run.recipe.problems.source == "world" else "held-out"
        found.append(QuestionSet(name=name, problems=problems))
    for name in settings.benchmarks:
        asked = benchmark(name)
        made = QuestionSet(
            # The built-in world may be measured as the held-out set and as a benchmark of fixed problems.
            name="world-benchmark" if name == "world" and found and found[0].name == "world" else name,
            problems=Artifact(run.path / "benchmarks" / name / "problems", Problem),
            benchmark=asked,
            items=Artifact(run.path / "benchmarks" / name / "items", Item),
        )
        _put_down(made, folder(run, name))
        found.append(made)
    return found


def check(run: Run) -> None:
    """See to it that the recipe's benchmarks can be had, before hours of work: the first row of each is read.

    Raises MixprefError for a benchmark that does not exist, whose data is missing, or which needs a judge and has none.
    """
    settings = run.recipe.evaluation
    for name in settings.benchmarks:
        asked = benchmark(name)
        if asked.rubric and (settings.judge or run.recipe.verifying.judge) is None:
            raise MixprefError(
                f"{asked.title} is scored by a judge: name the model that judges as --evaluation.judge, and its "
                "OpenAI-compatible server as --evaluation.judge-url"
            )
        if not (run.path / "benchmarks" / name / "items" / "manifest.json").exists():
            next(_rows(asked, folder(run, name)), None)


def folder(run: Run, name: str) -> Path:
    """Where the data of a benchmark is looked for."""
    return Path(run.recipe.evaluation.data).expanduser() / folder_name(name)


def _rows(asked: Benchmark, where: Path) -> Iterator[tuple[Problem | None, Item]]:
    try:
        yield from asked.load(where)
    except MixprefError as mistake:
        # Quoted, because the command is to be copied as it stands.
        get = f"; get it by:\n  {asked.get.format(folder=where)}" if asked.get else ""
        raise MixprefError(f"{asked.title}: {mistake}{get}") from None


def _put_down(made: QuestionSet, where: Path) -> None:
    """Write problems and items, once; an interrupted loading starts anew."""
    assert made.benchmark is not None
    assert made.items is not None
    if made.problems.finished and made.items.finished:
        return
    made.items.discard()
    made.problems.discard()
    items: list[Item] = []
    seen: set[str] = set()
    waiting: list[Problem] = []
    shards = 0

    def write() -> None:
        nonlocal shards
        made.problems.append(f"{shards:05d}", waiting)
        waiting.clear()
        shards += 1

    for problem, item in _rows(made.benchmark, where):
        items.append(item)
        if problem is not None and problem.id not in seen:
            seen.add(problem.id)
            waiting.append(problem)
            if len(waiting) == _SHARD:
                write()
    if waiting:
        write()
    if not seen:
        reason = f"; the first: {items[0].fault}" if items else ""
        raise MixprefError(f"{made.benchmark.title}: no row in {where} can be asked{reason}")
    faults = Counter(bool(item.fault) for item in items)
    counts = {"rows": len(items), "asked": faults[False], "faults": faults[True], "problems": len(seen)}
    settings = {"benchmark": made.benchmark.name, "data": made.benchmark.hub}
    made.problems.finish(settings, counts)
    made.items.append("00000", items)
    made.items.finish(settings, counts)
    faulty = f", {faults[True]} of them cannot be asked" if faults[True] else ""
    say(f"{made.name}: {len(items)} rows{faulty}, {len(seen)} different questions")
