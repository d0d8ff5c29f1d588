"""Cases as the page's script and the server get them: their kinds, their notes, and nothing that is not JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from mixpref.records import PreferencePair, Problem, Response, Verdict
from mixpref.reporting.cases import (
    Answered,
    item_case,
    item_kind,
    length_gap,
    pair_case,
    rejected_outcome,
    response_of,
)

RIGHT, WRONG = Verdict(outcome="correct", answer="4"), Verdict(outcome="wrong", answer="5")
ERROR = Verdict(outcome="error", detail="the judge is gone")
KEYS = {
    *("id", "kind", "style", "benchmark", "family", "outcome", "gap", "question", "pictures", "choices", "answer"),
    *("caption", "sides"),
}


def said(side: dict) -> str:
    return "".join(piece for _, piece in side["parts"])


def test_a_pair_is_all_of_what_the_page_shows(
    problem: Callable[..., Problem], pair: Callable[..., PreferencePair]
) -> None:
    asked = problem(4, choices=("3", "4"), answer="B")
    case = pair_case(pair(asked, "It is 4.", "It is 5."), asked, RIGHT, WRONG, (40, 10), ["key"])
    assert {*case} == KEYS
    assert json.loads(json.dumps(case)) == case
    assert (case["kind"], case["style"], case["family"], case["outcome"]) == ("correctness", "en", "chart", "wrong")
    assert case["gap"] == 0.75
    assert case["pictures"] == ["key"]
    assert case["choices"] == [["A", "3", False], ["B", "4", True]]
    assert case["caption"] == ["chart", "made", asked.id]
    chosen, rejected = case["sides"]
    assert (chosen["label"], chosen["good"], said(chosen)) == ("chosen", True, "It is 4.")
    assert (rejected["label"], rejected["good"], said(rejected)) == ("rejected", False, "It is 5.")
    assert rejected["parts"] == [["", "It is "], ["-", "5"], ["", "."]]
    assert chosen["notes"] == ["correct: read as 4", "40 tokens"]


def test_a_pair_of_texts_from_elsewhere_has_no_verdicts(
    problem: Callable[..., Problem], pair: Callable[..., PreferencePair]
) -> None:
    case = pair_case(pair(problem(1), "a", "b"), None, None, None, (None, 3), [])
    assert (case["outcome"], case["gap"], case["family"], case["choices"]) == ("not judged", None, "", [])
    assert case["question"] == "The problem is no longer in this run directory."
    assert [side["notes"] for side in case["sides"]] == [[], ["3 tokens"]]


def test_a_response_says_how_it_was_read_and_whether_it_was_cut(
    problem: Callable[..., Problem], pair: Callable[..., PreferencePair]
) -> None:
    cut = replace(pair(problem(1), "a", "b"), rejected_complete=False)
    unread = Verdict(outcome="unparsed", detail="two answers")
    case = pair_case(cut, problem(1), RIGHT, unread, (1, 9), [])
    assert case["outcome"] == "cut"
    assert case["sides"][0]["notes"] == ["correct: read as 4", "1 token"]
    assert case["sides"][1]["notes"] == ["unparsed: two answers", "9 tokens", "cut at the token limit"]
    assert rejected_outcome(replace(cut, rejected_complete=True), unread) == "unparsed"


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        (WRONG, RIGHT, "fixed"),
        (RIGHT, WRONG, "broken"),
        (WRONG, Verdict(outcome="unparsed"), "both wrong"),
        (RIGHT, RIGHT, "both right"),
        (RIGHT, ERROR, "no outcome"),
        (None, RIGHT, "no outcome"),
    ],
)
def test_what_became_of_an_item(before: Verdict | None, after: Verdict | None, kind: str) -> None:
    assert item_kind(before, after) == kind


def test_an_item_names_both_models(problem: Callable[..., Problem], response: Callable[..., Response]) -> None:
    asked = problem(4)
    before = Answered(role="base", response=response(asked, 0, "5"), verdict=WRONG)
    after = Answered(role="mpo", response=replace(response(asked, 0, "It is 4"), tokens=18), verdict=RIGHT)
    case = item_case(asked, "cot", "world", before, after, [None])
    assert {*case} == KEYS
    assert (case["kind"], case["style"], case["benchmark"], case["outcome"]) == ("fixed", "cot", "world", "correct")
    assert case["gap"] == 0.5
    assert [(side["label"], side["good"]) for side in case["sides"]] == [
        ("before (base)", False),
        ("after (mpo)", True),
    ]


def test_an_item_that_one_model_was_not_asked(
    problem: Callable[..., Problem], response: Callable[..., Response]
) -> None:
    asked = problem(4)
    before = Answered(role="base", response=response(asked, 0, "4"), verdict=RIGHT)
    case = item_case(asked, "cot", "world", before, Answered(role="mpo", response=None, verdict=None), [])
    assert (case["kind"], case["outcome"], case["gap"]) == ("no outcome", "not judged", None)
    assert case["sides"][1]["notes"] == ["not evaluated"]


def test_characters_that_no_page_can_hold_are_replaced(
    problem: Callable[..., Problem], pair: Callable[..., PreferencePair]
) -> None:
    odd = "a\x00\ud800"
    asked = problem(1, odd, question=odd, choices=(odd,), answer=odd, id="1")
    case = pair_case(pair(asked, odd, "b", odd), asked, replace(RIGHT, answer=odd), None, (1, 1), [])
    text = json.dumps(case, ensure_ascii=False)
    text.encode()
    assert "\\u0000" not in text
    assert text.count("a\ufffd\ufffd") >= 8


def test_the_gap_is_a_share_of_the_longer_text() -> None:
    assert [length_gap(*each) for each in ((30, 10), (10, 30), (0, 0), (None, 3))] == [0.6667, -0.6667, 0.0, None]


@pytest.mark.parametrize(
    ("origin", "response_id"),
    [
        ("abc-3 made t=1", "abc-3"),
        ("abc-3 made dropout-ntp sr0.5 blind", None),
        ("", None),
        ("pairs.jsonl:7", "pairs.jsonl:7"),
    ],
)
def test_the_response_that_a_text_is(origin: str, response_id: str | None) -> None:
    assert response_of(origin) == response_id
