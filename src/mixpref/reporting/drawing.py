"""Drawing as inline SVG that takes its colours and its type from the page, so that it follows light and dark themes.

matplotlib draws with stand-in colours; `svg` puts CSS variables of the page in their place. Figures are made without
pyplot: no global state, no display.
"""

from __future__ import annotations

import html
import io
import re
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mixpref.reporting.cases import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Stand-ins that no drawing uses by chance, and the page's variables that replace them.
INK, MUTED, RULE, PAPER = "#010203", "#010204", "#010205", "#010206"
SERIES = ("#010211", "#010212", "#010213", "#010214")
TONES = {"good": "#010221", "bad": "#010222", "odd": "#010223", "none": "#010224"}
"""What is right, wrong, neither, and unknown."""
_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    RULE: "--rule",
    PAPER: "--paper",
    **{colour: f"--series-{place}" for place, colour in enumerate(SERIES, start=1)},
    **{colour: f"--{tone}" for tone, colour in TONES.items()},
}
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "axes.formatter.use_mathtext": False,
    "axes.unicode_minus": True,
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.7,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "lines.linewidth": 1.5,
    "legend.frameon": False,
    "legend.handlelength": 1.3,
    "legend.columnspacing": 1.2,
    "legend.borderaxespad": 0.2,
    "legend.borderpad": 0.1,
}


def svg(title: str, description: str, draw: Callable[[Axes], None], inches: tuple[float, float]) -> str:
    """A figure with its caption. description: what it shows, for those who cannot see it.

    What `draw` writes into the figure must be printable (`cases.printable`), since fonts know no other characters.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    title, description = printable(title), printable(description)
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
        with warnings.catch_warnings():
            # The browser draws the text and has the glyphs; matplotlib only guesses how wide it is.
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
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
