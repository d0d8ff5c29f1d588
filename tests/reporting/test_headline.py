"""The first lines say what came out, and do not boast."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from mixpref.records import Score
from mixpref.reporting.gather import Findings
from mixpref.reporting.headline import facts, headline, probability


def test_it_says_how_sure_it_is(findings: Findings) -> None:
    title, lines = headline(findings)
    assert title == "Chain of thought: 30.0 % → 65.0 %"
    said = " ".join(lines)
    assert "+35.0 points on 600 held-out problems" in said
    assert "27.0–33.0 and 62.0–68.0, do not overlap" in said
    assert "220 fixed, 10 broken" in said
    assert "McNemar's p < 0.0001" in said
    assert "was 10.0 points below the direct answer; after it, it is 20.0 points above" in said
    assert "1.0 % before, 1.0 % after" in said


def test_it_does_not_boast(score: Callable[..., Score]) -> None:
    worse = Findings(name="", scores=(score("base", "cot", 0.30), score("mpo", "cot", 0.28)))
    said = " ".join(headline(worse)[1])
    assert "−2.0 points" in said
    assert "overlap: by these alone, the difference may be chance" in said
    assert "direct answer" not in said


def test_without_a_pair_of_models(score: Callable[..., Score]) -> None:
    assert headline(Findings(name=""))[0] == "Not evaluated yet"
    assert headline(Findings(name="", scores=(score("base", "cot", 0.3),)))[0].startswith("base: CoT 30.0")
    mixed = Findings(name="", scores=(score("base", "cot", 0.3), score("mpo", "direct", 0.4)))
    assert headline(mixed)[0] == "No common scores"
    direct = Findings(name="", scores=(score("base", "direct", 0.3), score("dpo", "direct", 0.4)))
    assert headline(direct)[0].startswith("The direct answer: 30.0")


def test_figures_on_a_scale_of_their_own(score: Callable[..., Score]) -> None:
    scores = (score("base", "cot", 3.3, "puzzles"), score("mpo", "cot", 3.5, "puzzles"))
    title, lines = headline(Findings(name="", scores=tuple(replace(each, scale=6.0) for each in scores)))
    assert title == "Chain of thought: 3.30 of 6 → 3.50 of 6"
    assert lines[0].startswith("+0.20 on 600 problems of puzzles. The 95 % intervals, 3.27–3.33 and 3.47–3.53")


def test_facts_leave_out_what_is_not_there(findings: Findings) -> None:
    assert facts(findings) == [
        ("10", "training problems"),
        ("80", "sampled responses"),
        ("55", "preference pairs"),
        ("8", "optimizer steps"),
        ("600", "held-out problems"),
    ]
    assert facts(Findings(name="")) == []


@pytest.mark.parametrize(("p", "said"), [(0.0, "< 0.0001"), (0.00012, "0.0001"), (0.0213, "0.02"), (1.0, "1.00")])
def test_a_probability_has_no_more_digits_than_it_means(p: float, said: str) -> None:
    assert probability(p) == said
