"""The tables of scores on the page: models by benchmarks in the form of the MPO paper, and each benchmark in detail."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from mixpref.errors import MixprefError
from mixpref.evaluation.benchmarks import benchmark
from mixpref.records import Score
from mixpref.reporting import plots
from mixpref.reporting.table import STYLES, Row, ordered, overall, rows
from mixpref.rundir import TRAINED

Markup = Callable[[str], Any]

HELD_OUT = ("world", "held-out")
"""What the run's own held-out problems are called in scores."""
FEW = 14
"""Groups of a benchmark that are shown at once; more are folded."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One model in one style on all benchmarks; None where it was not measured."""

    model: str
    style: str
    first: bool
    """Whether it is the model's first line."""
    span: int
    """Lines of the model."""
    scores: tuple[Score | None, ...]


@dataclass(frozen=True, kw_only=True)
class Board:
    """Models by benchmarks."""

    benchmarks: tuple[Score, ...]
    """A score of each, for its metric and scale."""
    lines: tuple[Line, ...]
    best: tuple[float, ...]
    """The highest figure of each benchmark."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """A part of a benchmark's items, by model."""

    aspect: str
    """What the parts differ in ("task"); empty where they are simply families."""
    name: str
    models: dict[str, Row]

    @property
    def n(self) -> int:
        return max(score.n for row in self.models.values() for score in row.scores)


def board(scores: Sequence[Score]) -> Board | None:
    """None where there are not several benchmarks."""
    found = rows(overall(scores))
    names = list(dict.fromkeys(row.benchmark for row in found))
    if len(names) < 2:
        return None
    cells: dict[tuple[str, str, str], Score] = {}
    for row in found:
        cells |= {(row.model, score.style, row.benchmark): score for score in row.scores}
    lines: list[Line] = []
    for model in ordered(row.model for row in found):
        styles = [style for style in STYLES if any((model, style, name) in cells for name in names)]
        lines += [
            Line(
                model=model,
                style=style,
                first=style == styles[0],
                span=len(styles),
                scores=tuple(cells.get((model, style, name)) for name in names),
            )
            for style in styles
        ]
    firsts = {score.benchmark: score for score in reversed(overall(scores))}
    best = (max(score.accuracy for key, score in cells.items() if key[2] == name) for name in names)
    return Board(benchmarks=tuple(firsts[name] for name in names), lines=tuple(lines), best=tuple(best))


def sections(scores: Sequence[Score], markup: Markup) -> list[dict[str, Any]]:
    """Each benchmark for the template: its table, the plot of it, its groups, what else was measured."""
    names = dict.fromkeys(score.benchmark.partition("/")[0] for score in scores)
    return [_section(name, scores, markup) for name in names]


def title_of(name: str) -> str:
    """A benchmark as papers write it; the held-out problems by their own name."""
    if name in HELD_OUT:
        return name
    with suppress(MixprefError):
        return benchmark(name).title
    return name


def capital(text: str) -> str:
    """With a capital at its beginning, the rest as it is."""
    return text[:1].upper() + text[1:]


def _section(name: str, scores: Sequence[Score], markup: Markup) -> dict[str, Any]:
    main = [row for row in rows(scores) if row.benchmark == name]
    groups = _groups(name, scores)
    measured = [score for row in main for score in row.scores]
    any_score = next(iter(measured), None) or next(score for score in scores if score.benchmark.startswith(f"{name}/"))
    models = list(dict.fromkeys(row.model for row in main or [row for each in groups for row in each.models.values()]))
    title = f"{capital(any_score.metric)} with its 95 % interval"
    return {
        "name": title_of(name),
        "score": any_score,
        "rows": main,
        "errors": [(score.model, STYLES[score.style], score.errors) for score in measured if score.errors],
        "judges": list(dict.fromkeys(score.judge for score in measured if score.judge)),
        "measures": list(dict.fromkeys(measure for score in measured for measure, _ in score.details)),
        "details": [(score, dict(score.details)) for score in measured if score.details],
        "plot": markup(plots.accuracies(title, [(row.model, row.scores) for row in main])) if main else "",
        "groups": groups,
        "folded": len(groups) > FEW,
        "models": models,
        "trained": next((role for role in TRAINED if role in models and "base" in models), None),
    }


def _groups(name: str, scores: Iterable[Score]) -> list[Group]:
    """A benchmark's groups ("mathvista/task: geometry"), those of one aspect together."""
    found: dict[str, dict[str, Row]] = {}
    for row in rows(score for score in scores if score.benchmark.startswith(f"{name}/")):
        found.setdefault(row.benchmark.partition("/")[2], {})[row.model] = row
    groups = []
    for label, models in found.items():
        aspect, colon, value = label.partition(": ")
        groups.append(Group(aspect=aspect if colon else "", name=value if colon else label, models=models))
    aspects = list(dict.fromkeys(group.aspect for group in groups))
    return sorted(groups, key=lambda group: aspects.index(group.aspect))
