"""Plots: valid SVG in the page's own colours, the same for the same data."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest

from mixpref.records import Score
from mixpref.reporting import plots
from mixpref.reporting.plots import Curve


def svg(drawn: str) -> ElementTree.Element:
    return ElementTree.fromstring(drawn[drawn.index("<svg") : drawn.index("</svg>") + 6])


def texts(drawn: str) -> list[str]:
    return ["".join(each.itertext()) for each in svg(drawn).iter("{http://www.w3.org/2000/svg}text")]


@pytest.fixture(scope="module")
def loss() -> str:
    lines = [Curve(name=name, points=[(step, 1 / step) for step in range(1, 30)]) for name in ("chosen", "rejected")]
    return plots.curves("Loss <of> all", lines)


def test_colours_and_type_come_from_the_page(loss: str) -> None:
    assert "var(--series-1)" in loss
    assert "var(--series-2)" in loss
    assert not re.search(r"#[0-9a-f]{6}\b", loss)
    assert set(re.findall(r"font-family: ([^;\"]*)", loss)) == {"inherit"}


def test_the_drawing_scales_and_says_what_it_shows(loss: str) -> None:
    root = svg(loss)
    assert root.get("viewBox")
    assert root.get("width") is None
    assert root.get("aria-label") == "Loss <of> all: chosen runs from 1 to 0.03448; rejected runs from 1 to 0.03448"
    assert "<figcaption>Loss &lt;of&gt; all</figcaption>" in loss
    assert {"chosen", "rejected"} <= set(texts(loss))
    assert "<style" not in loss


def test_ids_of_two_plots_never_meet(loss: str) -> None:
    other = plots.curves("Margin", [Curve(name="margin", points=[(1, 2.0), (2, 3.0)])])
    ids = [set(re.findall(r' id="([^"]+)"', drawn)) for drawn in (loss, other)]
    assert ids[0]
    # Tick marks are drawn alike everywhere; a clip path is a plot's own.
    clips = [set(re.findall(r'<clipPath id="([^"]+)"', drawn)) for drawn in (loss, other)]
    assert not clips[0] & clips[1]
    assert not any("axes" in name or "figure" in name for name in ids[0] | ids[1])


def test_the_same_data_give_the_same_plot() -> None:
    line = [Curve(name="x", points=[(step, math.sin(step)) for step in range(200)])]
    assert plots.curves("Loss", line) == plots.curves("Loss", line)


@pytest.mark.parametrize("values", [[1.0], [math.nan, math.nan], [1.0, math.inf, 2.0, math.nan], [0.0, 0.0], []])
def test_odd_values_are_drawn_or_left_out(values: list[float]) -> None:
    assert svg(plots.curves("Loss", [Curve(name="loss", points=list(enumerate(values)))])) is not None


def test_shares_are_shown_in_per_cent() -> None:
    drawn = plots.curves("Right", [Curve(name="share", points=[(1, 0.25), (2, 0.75)])], share=True)
    assert "share runs from 25.0 % to 75.0 %" in drawn
    assert any(label.endswith("%") and float(label[:-1]) > 20 for label in texts(drawn))


def test_the_moving_mean_skips_what_is_not_a_number() -> None:
    assert plots._moving_mean([1.0, math.nan, 3.0, 8.0], 1) == [1.0, 2.0, 5.5, 5.5]


def test_accuracies_name_every_model() -> None:
    def score(style: str, accuracy: float) -> Score:
        return Score(
            model="", benchmark="", style=style, n=9, accuracy=accuracy, low=accuracy, high=accuracy, unparsed=0
        )  # type: ignore[arg-type]

    drawn = plots.accuracies(
        "Accuracy", [("base", [score("direct", 0.4), score("cot", 0.3)]), ("$x<$", [score("cot", 0.6)])]
    )
    assert {"base", "$x<$", "Direct", "CoT"} <= set(texts(drawn))
    assert "base CoT 30.0 %" in drawn


def test_columns_show_their_counts() -> None:
    assert {"1,234", "7"} <= set(texts(plots.columns("Problems", {0: 1234, 1: 7}, xlabel="correct")))
