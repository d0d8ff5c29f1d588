"""Models by benchmarks, and what each benchmark measured beside its figure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mixpref.records import Score
from mixpref.reporting.scoreboard import board, capital, sections, title_of


def test_one_benchmark_needs_no_board(score: Callable[..., Score]) -> None:
    assert board([score("base", "cot", 0.3), score("base", "cot", 0.2, "world/chart")]) is None
    assert board([]) is None


def test_the_board_has_a_line_a_model_and_style(score: Callable[..., Score]) -> None:
    found = board(
        [
            score("mpo", "cot", 0.6),
            score("base", "direct", 0.4),
            score("base", "cot", 0.3),
            score("base", "cot", 0.2, "puzzles"),
            score("mpo", "cot", 0.5, "puzzles"),
        ]
    )
    assert found is not None
    assert [each.benchmark for each in found.benchmarks] == ["world", "puzzles"]
    assert [(line.model, line.style, line.first, line.span) for line in found.lines] == [
        ("base", "direct", True, 2),
        ("base", "cot", False, 2),
        ("mpo", "cot", True, 1),
    ]
    figures = [[each and each.accuracy for each in line.scores] for line in found.lines]
    assert figures == [[0.4, None], [0.3, 0.2], [0.6, 0.5]]
    assert found.best == (0.6, 0.5)


def test_groups_are_put_together_by_their_aspect(score: Callable[..., Score]) -> None:
    groups = ("task: geometry", "grade: high", "task: algebra")
    scores = [score("base", "cot", 0.3, "puzzles")]
    scores += [score(model, "cot", 0.2, f"puzzles/{group}", 50) for group in groups for model in ("base", "mpo")]
    (section,) = sections(scores, str)
    assert [(group.aspect, group.name, group.n) for group in section["groups"]] == [
        ("task", "geometry", 50),
        ("task", "algebra", 50),
        ("grade", "high", 50),
    ]
    assert list(section["groups"][0].models) == ["base", "mpo"]


def test_what_else_was_measured_is_told(score: Callable[..., Score]) -> None:
    more = {"metric": "mean score", "scale": 6.0, "details": (("hallucinated", 0.25),), "judge": "judge 1"}
    (section,) = sections([replace(score("base", "cot", 3.5, "puzzles"), **more)], str)  # type: ignore[arg-type]
    assert (section["judges"], section["measures"]) == (["judge 1"], ["hallucinated"])
    assert section["details"][0][1] == {"hallucinated": 0.25}
    assert "Mean score with its 95 % interval" in section["plot"]


def test_a_benchmark_that_nobody_knows_goes_by_its_name() -> None:
    assert title_of("puzzles") == "puzzles"
    assert title_of("world") == "world"
    assert capital("mean F1") == "Mean F1"
