"""Plots as inline SVG that takes its colours and its type from the page, so that it follows light and dark themes.

matplotlib draws with stand-in colours; `_svg` puts CSS variables of the page in their place. Figures are made without
pyplot: no global state, no display.
"""

from __future__ import annotations

import html
import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mixpref.records import Score
from mixpref.reporting.table import STYLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.ticker import MaxNLocator

Points = Sequence[tuple[float, float]]

# Stand-ins that no drawing uses by chance, and the page's variables that replace them.
_INK, _MUTED, _RULE, _PAPER = "#010203", "#010204", "#010205", "#010206"
_SERIES = ("#010211", "#010212", "#010213", "#010214")
_VARIABLES = {
    _INK: "--ink",
    _MUTED: "--muted",
    _RULE: "--rule",
    _PAPER: "--paper",
    **{colour: f"--series-{place}" for place, colour in enumerate(_SERIES, start=1)},
}
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "axes.formatter.use_mathtext": False,
    "axes.unicode_minus": True,
    "font.size": 9.5,
    "text.color": _INK,
    "axes.edgecolor": _RULE,
    "axes.labelcolor": _MUTED,
    "axes.linewidth": 0.9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _RULE,
    "grid.linewidth": 0.7,
    "xtick.color": _RULE,
    "ytick.color": _RULE,
    "xtick.labelcolor": _MUTED,
    "ytick.labelcolor": _MUTED,
    "lines.linewidth": 1.5,
    "legend.frameon": False,
    "legend.handlelength": 1.3,
    "legend.columnspacing": 1.2,
    "legend.borderaxespad": 0.2,
    "legend.borderpad": 0.1,
}
_SMOOTHED_FROM = 80
"""Curves with more points than this are drawn faint, with their moving mean over them."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One line of a plot. `points` are (x, y) in ascending x; a y that is not finite leaves a gap."""

    name: str
    points: Points


def curves(
    title: str, lines: Sequence[Curve], *, xlabel: str = "optimizer step", share: bool = False, dots: bool = False
) -> str:
    """Lines over one axis, named in a legend if there are several. `share`: y is in 0..1 and shown in per cent."""

    def draw(axes: Axes) -> None:
        for place, line in enumerate(lines):
            colour = _SERIES[place % len(_SERIES)]
            xs = [x for x, _ in line.points]
            ys = [(100 * y if share else y) if math.isfinite(y) else math.nan for _, y in line.points]
            smooth = len(ys) > _SMOOTHED_FROM
            marker = "o" if dots or len(ys) == 1 else None
            faint: dict[str, Any] = {"alpha": 0.25, "linewidth": 0.8} if smooth else {}
            axes.plot(xs, ys, color=colour, marker=marker, markersize=4, label=line.name, **faint)
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
    return _svg(title, f"{title}: {ends}", draw, (4.4, 2.6))


def accuracies(title: str, scores: Sequence[tuple[str, Sequence[Score]]]) -> str:
    """Accuracy with its 95 % interval, a line a model (name, scores): a hollow mark for Direct, a full one for CoT."""

    def draw(axes: Axes) -> None:
        for place, (_, styles) in enumerate(scores):
            for score in styles:
                cot = score.style == "cot"
                y = place + (0.17 if cot else -0.17)
                colour = _SERIES[0] if cot else _SERIES[1]
                axes.plot([100 * score.low, 100 * score.high], [y, y], color=colour, linewidth=2)
                axes.plot(
                    [100 * score.accuracy],
                    [y],
                    color=colour,
                    marker="o",
                    markersize=7,
                    markerfacecolor=colour if cot else _PAPER,
                    markeredgewidth=1.6,
                    linestyle="none",
                    label=STYLES[score.style] if place == 0 else None,
                )
        axes.set_yticks(range(len(scores)), [name for name, _ in scores])
        axes.tick_params(axis="y", length=0, labelcolor=_INK, labelsize=10.5)
        axes.set_ylim(len(scores) - 0.5, -0.5)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g} %")
        axes.xaxis.set_major_locator(_ticks(6))
        axes.margins(x=0.06)
        axes.grid(False, axis="y")
        axes.spines["left"].set_visible(False)
        names = {score.style for _, styles in scores[:1] for score in styles}
        if names:
            axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 1), ncols=len(names))

    said = "; ".join(
        f"{name} {STYLES[score.style]} {100 * score.accuracy:.1f} %" for name, styles in scores for score in styles
    )
    return _svg(title, f"{title}: {said}", draw, (4.4, 0.9 + 0.5 * max(1, len(scores))))


def columns(title: str, heights: Mapping[int, int], *, xlabel: str) -> str:
    """Counts over whole numbers, each with its count on top."""

    def draw(axes: Axes) -> None:
        bars = axes.bar(list(heights), list(heights.values()), width=0.72, color=_SERIES[0])
        if len(heights) <= 12:
            axes.bar_label(bars, [f"{height:,}" for height in heights.values()], padding=2, fontsize=8.5, color=_MUTED)
        axes.set_xlabel(xlabel)
        if len(heights) <= 12:
            axes.set_xticks(list(heights))
        axes.yaxis.set_major_locator(_ticks(5, integer=True))
        axes.margins(y=0.12)
        axes.grid(False, axis="x")

    said = ", ".join(f"{x}: {height:,}" for x, height in heights.items())
    return _svg(title, f"{title}, {xlabel}: {said}", draw, (4.4, 2.6))


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


def _svg(title: str, description: str, draw: Callable[[Axes], None], inches: tuple[float, float]) -> str:
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    # The salt names the clip paths: two figures of one page must not share a name, and the same run must give the
    # same page.
    settings: Any = {**_STYLE, "svg.hashsalt": f"{title}{description}"}
    with rc_context(settings):
        figure = Figure(figsize=inches, layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        draw(axes)
        figure.patch.set_visible(False)
        axes.patch.set_visible(False)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    drawn = stream.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    # A <style> inside inline SVG would hold for the whole page.
    drawn = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|<style.*?</style>", "", drawn, flags=re.DOTALL)
    for colour, variable in _VARIABLES.items():
        drawn = drawn.replace(colour, f"var({variable})")
    drawn = re.sub(r"font-family: [^;\"]*", "font-family: inherit", drawn)
    drawn = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1; font-family: inherit", drawn)
    # matplotlib calls the parts of every figure alike (figure_1, axes_1): ids that nothing refers to are dropped.
    used = set(re.findall(r"#([\w-]+)", drawn))
    drawn = re.sub(r' id="([\w.-]+)"', lambda match: match[0] if match[1] in used else "", drawn)
    drawn = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", drawn, count=1))
    drawn = re.sub(r"\s*\n\s*", "\n", drawn)
    label = html.escape(description, quote=True)
    drawn = drawn.replace("<svg", f'<svg class="plot" role="img" aria-label="{label}"', 1).strip()
    # The title is the page's text, not the drawing's: it keeps its size when the drawing is scaled.
    return f"<figure><figcaption>{html.escape(title)}</figcaption>\n{drawn}\n</figure>"
