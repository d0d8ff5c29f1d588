"""The before/after table: order, wording, and that nothing in it is read as markup."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from mixpref.records import Score
from mixpref.reporting.table import (
    difference,
    interval,
    ordered,
    overall,
    overlap,
    percent,
    points,
    rows,
    score_table,
    shown,
)


def score(model: str, style: str, accuracy: float, benchmark: str = "world", **more: float) -> Score:
    values = {"n": 600, "low": accuracy - 0.04, "high": accuracy + 0.04, "unparsed": 0.0, **more}
    return Score(model=model, benchmark=benchmark, style=style, accuracy=accuracy, **values)  # type: ignore[arg-type]


def printed(scores: list[Score], **options: bool) -> str:
    stream = io.StringIO()
    Console(file=stream, width=80).print(score_table(scores, **options))
    return stream.getvalue()


def test_rows_follow_the_order_of_the_loop_and_join_the_styles() -> None:
    found = rows(
        [score("mpo", "cot", 0.6), score("zeta", "cot", 0.1), score("base", "cot", 0.3), score("base", "direct", 0.4)]
    )
    assert [row.model for row in found] == ["base", "mpo", "zeta"]
    assert found[0].direct is not None
    assert (found[0].direct.accuracy, found[1].direct) == (0.4, None)
    assert [each.style for each in found[0].scores] == ["direct", "cot"]


def test_the_terminal_shows_accuracy_interval_and_unparsed_share_within_80_columns() -> None:
    text = printed(
        [score("base", "cot", 0.312, unparsed=0.02), score("mpo", "cot", 0.648), score("mpo", "direct", 0.45)]
    )
    base, mpo = (next(line for line in text.splitlines() if f" {role} " in line) for role in ("base", "mpo"))
    assert base.split() == ["base", "–", "31.2", "[27.2,", "35.2]", "–", "/", "2.0"]
    assert "45.0 [41.0, 49.0]" in mpo
    assert "64.8 [60.8, 68.8]" in mpo
    assert "world, 600 problems" in text
    assert max(map(len, text.splitlines())) <= 80


def test_families_appear_only_when_asked_for() -> None:
    scores = [score("base", "cot", 0.3), score("base", "cot", 0.2, "world/chart")]
    assert overall(scores) == scores[:1]
    assert "chart" not in printed(scores)
    assert "world/chart" in printed(scores, families=True)


def test_names_are_not_read_as_markup() -> None:
    text = printed([score("[b]me", "cot", 0.3, "[red]data"), score("base", "cot", 0.3, "other")])
    assert "[red]data" in text
    assert "[b]me" in text


def test_errors_are_told_and_an_empty_benchmark_has_no_accuracy() -> None:
    text = printed([score("base", "cot", 0.0, n=0, errors=7, low=0.0, high=0.0)])
    assert "0.0" not in text
    assert "base CoT: 7" in " ".join(text.split())


def test_a_table_without_scores_still_prints() -> None:
    assert "model" in printed([])


@pytest.mark.parametrize(
    ("difference", "said"), [(0.3361, "+33.6"), (-0.09, "−9.0"), (0.0, "0.0"), (-0.0004, "0.0"), (0.0004, "0.0")]
)
def test_points_carry_their_sign(difference: float, said: str) -> None:
    assert points(difference) == said


def test_numbers() -> None:
    assert percent(1.0) == "100.0"
    assert interval(score("base", "cot", 0.5)) == "46.0–54.0"
    assert overlap(score("base", "cot", 0.5), score("mpo", "cot", 0.57))
    assert not overlap(score("base", "cot", 0.5), score("mpo", "cot", 0.59))
    assert overlap(score("mpo", "cot", 0.5), score("base", "cot", 0.41, high=0.47))


def test_figures_on_a_scale_of_their_own() -> None:
    before = score("base", "cot", 3.3, low=3.0, high=3.6, scale=6)
    after = score("mpo", "cot", 3.524, low=3.1, high=3.9, scale=6)
    assert (shown(after), interval(after), difference(after, before)) == ("3.52 of 6", "3.10–3.90", "+0.22")
    assert difference(before, after) == "−0.22"
    assert difference(before, before) == "0.00"
    assert "3.52 of 6 [3.10, 3.90]" in printed([after])
    assert (shown(score("base", "cot", 0.5)), difference(score("base", "cot", 0.5), score("base", "cot", 0.4))) == (
        "50.0 %",
        "+10.0",
    )


def test_models_are_in_the_order_of_the_loop() -> None:
    assert ordered(["zeta", "mpo", "alpha", "base", "mpo"]) == ["base", "mpo", "alpha", "zeta"]
