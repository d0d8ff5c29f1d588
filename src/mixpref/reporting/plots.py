"""The plots of the page: curves over steps, scores with their intervals, counts and shares."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from mixpref.records import Score
from mixpref.reporting.cases import printable
from mixpref.reporting.drawing import INK, MUTED, PAPER, SERIES, TONES, svg
from mixpref.reporting.table import STYLES, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.ticker import MaxNLocator

Points = Sequence[tuple[float, float]]

LABEL = 24
"""Characters of a name in a plot at most; what a plot says in words has it whole."""
_SMOOTHED_FROM = 80
"""Curves with more points than this are drawn faint, with their moving mean over them."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One line of a plot. `points` are (x, y) in ascending x; a y that is not finite leaves a gap."""

    name: str
    points: Points
    exact: bool = False
    """No measurement: a line without a moving mean, however many points there are."""


def curves(
    title: str, lines: Sequence[Curve], *, xlabel: str = "optimizer step", share: bool = False, dots: bool = False
) -> str:
    """Lines over one axis, named in a legend if there are several. `share`: y is in 0..1 and shown in per cent."""

    def draw(axes: Axes) -> None:
        for place, line in enumerate(lines):
            colour = SERIES[place % len(SERIES)]
            xs = [x for x, _ in line.points]
            ys = [(100 * y if share else y) if math.isfinite(y) else math.nan for _, y in line.points]
            smooth = len(ys) > _SMOOTHED_FROM and not line.exact
            marker = "o" if dots or len(ys) == 1 else None
            faint: dict[str, Any] = {"alpha": 0.25, "linewidth": 0.8} if smooth else {}
            axes.plot(xs, ys, color=colour, marker=marker, markersize=4, label=_label(line.name), **faint)
            if smooth:
                axes.plot(xs, _moving_mean(ys, len(ys) // 25), color=colour)
        axes.set_xlabel(xlabel)
        axes.xaxis.set_major_locator(_ticks(8, integer=True))
        axes.yaxis.set_major_locator(_ticks(5))
        if share:
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
        else:
            axes.ticklabel_format(axis="y", useOffset=False, scilimits=(-3, 4))
        axes.margins(x=0.02)
        if len(lines) > 1:
            legend = axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 1), ncols=len(lines))
            for handle in legend.get_lines():
                handle.set(alpha=1, linewidth=1.8)

    ends = "; ".join(
        f"{line.name} runs from {_said(line.points[:1], share)} to {_said(line.points[-1:], share)}" for line in lines
    )
    return svg(title, f"{title}: {ends}", draw, (4.4, 2.6))


def accuracies(title: str, scores: Sequence[tuple[str, Sequence[Score]]]) -> str:
    """A figure with its 95 % interval, a line a model (name, scores): a hollow mark for Direct, a full one for CoT.

    Per cent where the scores are shares, else numbers on the scores' scale.
    """
    factor = 100 if all(score.scale == 1 for _, styles in scores for score in styles) else 1

    def draw(axes: Axes) -> None:
        for place, (_, styles) in enumerate(scores):
            for score in styles:
                cot = score.style == "cot"
                y = place + (0.17 if cot else -0.17)
                colour = SERIES[0] if cot else SERIES[1]
                axes.plot([factor * score.low, factor * score.high], [y, y], color=colour, linewidth=2)
                axes.plot(
                    [factor * score.accuracy],
                    [y],
                    color=colour,
                    marker="o",
                    markersize=7,
                    markerfacecolor=colour if cot else PAPER,
                    markeredgewidth=1.6,
                    linestyle="none",
                    label=STYLES[score.style] if place == 0 else None,
                )
        axes.set_yticks(range(len(scores)), [_label(name) for name, _ in scores])
        axes.tick_params(axis="y", length=0, labelcolor=INK, labelsize=10.5)
        axes.set_ylim(len(scores) - 0.5, -0.5)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g} %" if factor == 100 else f"{value:g}")
        axes.xaxis.set_major_locator(_ticks(6))
        axes.margins(x=0.06)
        axes.grid(False, axis="y")
        axes.spines["left"].set_visible(False)
        names = {score.style for _, styles in scores[:1] for score in styles}
        if names:
            axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 1), ncols=len(names))

    said = "; ".join(f"{name} {STYLES[score.style]} {shown(score)}" for name, styles in scores for score in styles)
    return svg(title, f"{title}: {said}", draw, (4.4, 0.9 + 0.5 * max(1, len(scores))))


def columns(title: str, heights: Mapping[int, int], *, xlabel: str) -> str:
    """Counts over whole numbers, each with its count on top."""

    def draw(axes: Axes) -> None:
        bars = axes.bar(list(heights), list(heights.values()), width=0.72, color=SERIES[0])
        if len(heights) <= 12:
            axes.bar_label(bars, [f"{height:,}" for height in heights.values()], padding=2, fontsize=8.5, color=MUTED)
        axes.set_xlabel(xlabel)
        if len(heights) <= 12:
            axes.set_xticks(list(heights))
        axes.yaxis.set_major_locator(_ticks(5, integer=True))
        axes.margins(y=0.12)
        axes.grid(False, axis="x")

    said = ", ".join(f"{x}: {height:,}" for x, height in heights.items())
    return svg(title, f"{title}, {xlabel}: {said}", draw, (4.4, 2.6))


def shares(title: str, rows: Mapping[str, Mapping[str, int]], tones: Mapping[str, str]) -> str:
    """A bar of 100 % a row, cut by kind in the order of `tones` (kind: tone of `drawing.TONES`)."""

    def draw(axes: Axes) -> None:
        present = {kind: tone for kind, tone in tones.items() if any(counts.get(kind) for counts in rows.values())}
        for place, counts in enumerate(rows.values()):
            total = sum(counts.values())
            left = 0.0
            for kind, tone in present.items():
                width = 100 * counts.get(kind, 0) / total if total else 0.0
                label = kind if place == 0 else None
                axes.barh(place, width, left=left, height=0.66, color=TONES[tone], edgecolor=PAPER, label=label)
                # In figures as well: shades of green and red are one shade to many people.
                if width >= 9:
                    axes.text(left + width / 2, place, f"{width:.0f}", color=PAPER, ha="center", va="center", size=8.5)
                left += width
        axes.set_yticks(range(len(rows)), [_label(row) for row in rows])
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlim(0, 100)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g} %")
        axes.grid(False)
        axes.spines["left"].set_visible(False)
        axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 1), ncols=max(1, len(present)))

    said = "; ".join(
        f"{row}: {', '.join(f'{kind} {n:,}' for kind, n in counts.items())}" for row, counts in rows.items()
    )
    return svg(title, f"{title}: {said}", draw, (4.4, 0.9 + 0.3 * max(1, len(rows))))


def histogram(title: str, series: Mapping[str, Mapping[int, int]], *, xlabel: str, bins: int = 30) -> str:
    """How whole numbers are spread, each series (number: count) as shares of its own total; the colours are those of
    `SERIES` in order. What lies above the 99.5th percentile of all is put into the last bin."""
    low, high = _range(series.values())
    width = max(1, math.ceil((high - low + 1) / bins))
    edges = [low + width * place for place in range((high - low) // width + 2)]

    def draw(axes: Axes) -> None:
        for place, (name, counts) in enumerate(series.items()):
            heights = [0.0] * (len(edges) - 1)
            for value, n in counts.items():
                heights[min((value - low) // width, len(heights) - 1)] += 100 * n / max(1, sum(counts.values()))
            colour = SERIES[place % len(SERIES)]
            dashes = ("-", "--")[place % 2]
            axes.stairs(heights, edges, color=colour, linewidth=1.6, linestyle=dashes, label=_label(name))
            axes.stairs(heights, edges, color=colour, fill=True, alpha=0.14)
        axes.set_xlabel(xlabel)
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(_ticks(7, integer=True))
        axes.yaxis.set_major_locator(_ticks(5))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
        axes.margins(x=0.02)
        axes.grid(False, axis="x")
        if len(series) > 1:
            axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 1), ncols=len(series))

    said = "; ".join(f"{name}: {sum(counts.values()):,}, median {_median(counts)}" for name, counts in series.items())
    return svg(title, f"{title}, {xlabel}: {said}", draw, (4.4, 2.6))


def gaps(title: str, counts: Mapping[int, int], bins: int, *, xlabel: str) -> str:
    """How a difference in -1..1 is spread over `bins` equal bins, numbered from -bins / 2; its sign in colour, too."""

    def draw(axes: Axes) -> None:
        width = 200 / bins
        for place, side in enumerate((range(bins // 2), range(-bins // 2, 0))):
            heights = [counts.get(number, 0) for number in side]
            middles = [(number + 0.5) * width for number in side]
            axes.bar(middles, heights, width=0.86 * width, color=SERIES[place])
        axes.axvline(0, color=MUTED, linewidth=0.9)
        axes.set_xlim(-100, 100)
        axes.set_xticks([-100, -50, 0, 50, 100])
        axes.set_xlabel(xlabel)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:+g} %".replace("-", "−") if value else "0")
        axes.yaxis.set_major_locator(_ticks(5, integer=True))
        axes.grid(False, axis="x")

    longer = sum(n for number, n in counts.items() if number >= 0)
    said = f"{longer:,} of {sum(counts.values()):,} at or above 0"
    return svg(title, f"{title}, {xlabel}: {said}", draw, (4.4, 2.6))


def _range(series: Iterable[Mapping[int, int]]) -> tuple[int, int]:
    """The least value, and the one below which 99.5 % of all lie: a few endless responses would flatten the rest."""
    counts: Counter[int] = Counter()
    for each in series:
        counts.update(each)
    return (min(counts), _median(counts, 0.995)) if counts else (0, 1)


def _median(counts: Mapping[int, int], share: float = 0.5) -> int:
    """The value up to which this share of the counts lies."""
    wanted = share * sum(counts.values())
    upto = accumulate(counts[value] for value in sorted(counts))
    return next((value for value, n in zip(sorted(counts), upto, strict=True) if n >= wanted), 0)


def _label(name: str) -> str:
    """A name as there is room for it beside a plot."""
    name = printable(name)
    return name if len(name) <= LABEL else f"{name[: LABEL - 1]}…"


def _ticks(most: int, integer: bool = False) -> MaxNLocator:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=most, integer=integer, steps=[1, 2, 2.5, 5, 10])


def _moving_mean(values: Sequence[float], reach: int) -> list[float]:
    """Mean over the finite values at most `reach` places away on either side."""
    means = []
    for place in range(len(values)):
        window = [value for value in values[max(0, place - reach) : place + reach + 1] if math.isfinite(value)]
        means.append(math.fsum(window) / len(window) if window else math.nan)
    return means


def _said(points: Points, share: bool) -> str:
    if not points:
        return "nothing"
    return f"{100 * points[0][1]:.1f} %" if share else f"{points[0][1]:.4g}"
