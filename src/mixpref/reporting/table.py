"""The before/after table: one row a model, Direct and CoT beside each other as in the MPO paper's tables.

`Row` is the table without its looks; the terminal (`score_table`) and the page render the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mixpref.evaluation.scoring import shown
from mixpref.records import Score

if TYPE_CHECKING:
    from rich.table import Table

ROLES = ("base", "sft", "dpo", "mpo")
"""Order of the rows; other models follow by name."""
STYLES = {"direct": "Direct", "cot": "CoT"}
NOTHING = "–"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One model on one benchmark, in the two styles; None where it was not asked in that style."""

    benchmark: str
    model: str
    direct: Score | None
    cot: Score | None

    @property
    def scores(self) -> tuple[Score, ...]:
        return tuple(score for score in (self.direct, self.cot) if score)


def rows(scores: Iterable[Score]) -> list[Row]:
    """A row for each benchmark and model: benchmarks in the order of their first score, models in that of `ROLES`."""
    found: dict[str, dict[str, dict[str, Score]]] = {}
    for score in scores:
        found.setdefault(score.benchmark, {}).setdefault(score.model, {})[score.style] = score
    return [
        Row(benchmark=benchmark, model=model, direct=models[model].get("direct"), cot=models[model].get("cot"))
        for benchmark, models in found.items()
        for model in ordered(models)
    ]


def overall(scores: Iterable[Score]) -> list[Score]:
    """The scores of whole benchmarks, without those of their families (`world/chart`)."""
    return [score for score in scores if "/" not in score.benchmark]


def ordered(models: Iterable[str]) -> list[str]:
    """Each model once: in the order of `ROLES`, others by name behind them."""
    return sorted(set(models), key=_rank)


def _rank(model: str) -> tuple[int, str]:
    return (ROLES.index(model) if model in ROLES else len(ROLES), model)


def percent(share: float) -> str:
    """A share in 0..1 as per cent with one decimal, without the sign."""
    return f"{100 * share:.1f}"


def points(difference: float) -> str:
    """A difference of two shares in percentage points, always with its sign."""
    # Rounded first, so that -0.0004 is shown as 0.0 and not as minus nothing.
    rounded = round(100 * difference, 1) or 0.0
    return f"{rounded:+.1f}".replace("-", "−") if rounded else "0.0"


def number(score: Score) -> str:
    """The figure without its unit: per cent of a share, else a number on the benchmark's scale."""
    return _on_scale(score.accuracy, score)


def interval(score: Score) -> str:
    """The ends of the 95 % interval, in the unit of `number`."""
    return f"{_on_scale(score.low, score)}–{_on_scale(score.high, score)}"


def difference(now: Score, before: Score) -> str:
    """From one figure to another of the same metric, with its sign, in the unit of `number`."""
    change = now.accuracy - before.accuracy
    if now.scale == 1:
        return points(change)
    rounded = round(change, 2) or 0.0
    return f"{rounded:+.2f}".replace("-", "−") if rounded else "0.00"


def _on_scale(value: float, score: Score) -> str:
    return percent(value) if score.scale == 1 else f"{value:.2f}"


def overlap(one: Score, other: Score) -> bool:
    """Whether the 95 % intervals of two scores have a point in common."""
    return one.low <= other.high and other.low <= one.high


def score_table(scores: Sequence[Score], families: bool = False) -> Table:
    """The table for the terminal, 80 columns wide at most for short names.

    Accuracy in per cent, or another figure as a number, with its 95 % interval; last the share of responses without a
    readable answer, Direct / CoT.
    `families` adds the rows of each benchmark's families.
    """
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    shown = rows(scores if families else overall(scores))
    benchmarks = list(dict.fromkeys(row.benchmark for row in shown))
    name = f"{benchmarks[0]}, {_size(shown)}" if len(benchmarks) == 1 else "Accuracy"
    # Text throughout: a benchmark's name is the user's, and rich would read "[name]" as markup.
    table = Table(
        title=Text(name),
        caption=Text(_left_out(shown)) if _left_out(shown) else None,
        box=SIMPLE,
        title_justify="left",
        caption_justify="left",
        title_style="bold",
    )
    if len(benchmarks) > 1:
        table.add_column("benchmark", overflow="fold")
    table.add_column("model", overflow="fold", min_width=5)
    for header in ("Direct % [95 %]", "CoT % [95 %]", "unparsed %"):
        table.add_column(header, justify="right", no_wrap=True)
    previous = ""
    for row in shown:
        unparsed = f"{_share(row.direct)} / {_share(row.cot)}"
        cells = [row.model, _cell(row.direct), _cell(row.cot), unparsed]
        if len(benchmarks) > 1:
            cells.insert(0, row.benchmark if row.benchmark != previous else "")
        previous = row.benchmark
        table.add_row(*map(Text, cells))
    return table


def _size(shown: Iterable[Row]) -> str:
    sizes = sorted({score.n for row in shown for score in row.scores})
    return f"{sizes[0]:,} problems" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,} problems"


def _cell(score: Score | None) -> str:
    if score is None or not score.n:
        return NOTHING
    figure = number(score) if score.scale == 1 else shown(score)
    return f"{figure} [{_on_scale(score.low, score)}, {_on_scale(score.high, score)}]"


def _share(score: Score | None) -> str:
    return NOTHING if score is None or not score.n else percent(score.unparsed)


def _left_out(shown: Iterable[Row]) -> str:
    """Which scores lack problems because generation or judge failed; empty if none does."""
    failed = [
        f"{row.model} {STYLES[score.style]}: {score.errors:,}" for row in shown for score in row.scores if score.errors
    ]
    return f"Left out because of errors: {'; '.join(failed)}" if failed else ""
