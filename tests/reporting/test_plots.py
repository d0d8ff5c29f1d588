"""Plots: valid SVG in the page's own colours, the same for the same data."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest

from mixpref.records import Score
from mixpref.reporting import drawing, plots
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


def test_scores_on_a_scale_of_their_own_are_no_per_cent() -> None:
    score = Score(
        model="", benchmark="", style="cot", n=9, accuracy=3.5, low=3.2, high=3.8, unparsed=0, metric="mean", scale=6
    )
    drawn = plots.accuracies("Mean", [("base", [score])])
    assert "base CoT 3.50 of 6" in drawn
    assert not any("%" in label for label in texts(drawn))


def test_shares_have_a_bar_a_row_and_say_their_figures() -> None:
    rows = {"chart": {"correct": 30, "wrong": 10}, "<table>": {"wrong": 5}}
    drawn = plots.shares("Outcomes", rows, {"correct": "good", "wrong": "bad", "error": "none"})
    assert {"chart", "<table>", "correct", "wrong", "75", "25", "100"} <= set(texts(drawn))
    assert "error" not in texts(drawn)
    assert "chart: correct 30, wrong 10; &lt;table&gt;: wrong 5" in drawn
    assert {"var(--good)", "var(--bad)"} <= set(re.findall(r"var\(--\w+\)", drawn))


def test_a_long_name_leaves_room_for_the_plot() -> None:
    name = "geometry problem solving with diagrams"
    drawn = plots.shares("Outcomes", {name: {"wrong": 5}, "short": {"wrong": 1}}, {"wrong": "bad"})
    assert "geometry problem solving with diagrams: wrong 5" in drawn
    assert {"geometry problem solvin…", "short"} <= set(texts(drawn))


def test_histograms_name_their_series() -> None:
    drawn = plots.histogram("Length", {"right": {10: 3, 20: 1}, "wrong": {5: 9, 4000: 1}}, xlabel="tokens")
    assert {"right", "wrong", "tokens"} <= set(texts(drawn))
    assert "right: 4, median 10; wrong: 10, median 5" in drawn


@pytest.mark.parametrize("counts", [{}, {7: 1}, {0: 5}, {1: 1, 100_000: 1}])
def test_odd_histograms_are_drawn(counts: dict[int, int]) -> None:
    assert svg(plots.histogram("Length", {"all": counts}, xlabel="tokens")) is not None


def test_one_endless_response_does_not_flatten_the_rest() -> None:
    assert plots._range([{**dict.fromkeys(range(100, 400), 5), 50_000: 1}]) == (100, 398)


def test_gaps_are_counted_on_both_sides() -> None:
    drawn = plots.gaps("Gap", {-3: 5, 0: 10, 4: 85}, 20, xlabel="chosen longer")
    assert "95 of 100 at or above 0" in drawn
    assert {"−50 %", "0", "+50 %"} <= set(texts(drawn))
    assert svg(plots.gaps("Gap", {}, 20, xlabel="")) is not None


def test_every_stand_in_is_a_colour_of_the_page() -> None:
    from importlib import resources

    css = resources.files("mixpref.reporting").joinpath("templates", "report.css").read_text()
    for variable in drawing._VARIABLES.values():
        # Once for the light theme, once for the dark one.
        assert css.count(f"{variable}:") == 2
