"""Votes on responses: majorities make pairs, and each vote comes out once."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixpref.pairing.votes import Vote, tally
from mixpref.records import Response
from mixpref.sources.unusable import Unusable


def response(sample: int, text: str = "", **more: object) -> Response:
    fields = {"problem_id": "p", "tokens": 9, "finish": "stop", "seed": 0, "style": "en", "sampler": "tiny"}
    return Response(sample=sample, text=text or f"text {sample}", logprob=None, **{**fields, **more})  # type: ignore[arg-type]


def vote(chosen: int, rejected: int, by: str = "") -> Vote:
    return Vote(f"p-{chosen}", f"p-{rejected}", by)


def kinds(refused: list[tuple[int, Unusable]]) -> list[tuple[int, str]]:
    return [(place, reason.kind) for place, reason in refused]


RESPONSES = [response(sample) for sample in range(4)]


def test_a_vote_is_a_pair() -> None:
    cut = response(1, finish="length", prefix="a ")
    (pair,), refused = tally([vote(0, 1, "ann")], [response(0), cut])
    assert not refused
    assert (pair.chosen, pair.rejected, pair.why) == ("text 0", "a text 1", "vote")
    assert (pair.chosen_complete, pair.rejected_complete) == (True, False)
    assert (pair.problem_id, pair.style) == ("p", "en")
    assert (pair.chosen_origin, pair.rejected_origin) == ("p-0 tiny by 1 of 1 votes (ann)", "p-1 tiny")
    (pair,), _ = tally([vote(1, 0)], [response(0), cut])
    assert (pair.chosen_complete, pair.rejected_complete) == (False, True)
    assert pair.chosen_origin == "p-1 tiny by 1 of 1 votes"


def test_votes_on_the_same_two_are_one_pair_that_the_majority_decides() -> None:
    votes = [vote(1, 0, "eve"), vote(0, 1, "bob"), vote(0, 1, "ann"), vote(2, 3), vote(0, 1)]
    pairs, refused = tally(votes, RESPONSES)
    assert [(pair.chosen, pair.rejected) for pair in pairs] == [("text 0", "text 1"), ("text 2", "text 3")]
    assert pairs[0].chosen_origin == "p-0 tiny by 3 of 4 votes (ann, bob)"
    assert kinds(refused) == [(0, "outvoted")]


def test_as_many_votes_for_as_against_cancel() -> None:
    pairs, refused = tally([vote(0, 1), vote(2, 3), vote(1, 0)], RESPONSES)
    assert [pair.chosen for pair in pairs] == ["text 2"]
    assert kinds(refused) == [(0, "contradictory"), (2, "contradictory")]


def test_one_name_has_one_voice() -> None:
    votes = [vote(0, 1, "ann"), vote(0, 1, "ann"), vote(1, 0, "bob"), vote(1, 0, "eve")]
    (pair,), refused = tally(votes, RESPONSES)
    assert pair.chosen == "text 1"
    assert kinds(refused) == [(0, "outvoted"), (1, "repeated vote")]
    # Who changes their mind says nothing.
    pairs, refused = tally([vote(0, 1, "ann"), vote(1, 0, "ann")], RESPONSES)
    assert (pairs, kinds(refused)) == ([], [(0, "contradictory"), (1, "contradictory")])


@pytest.mark.parametrize(
    ("other", "kind"),
    [
        (response(1, "", finish="error", error="broken"), "no text"),
        (response(1, " \n"), "no text"),
        (response(1, " text  0\n"), "identical texts"),
        (response(1, style="zh"), "different styles"),
        (response(2), "unknown response"),
    ],
)
def test_votes_that_are_no_preference_are_refused(other: Response, kind: str) -> None:
    for each in (vote(0, 1), vote(1, 0)):
        pairs, refused = tally([each], [response(0), other])
        assert (pairs, kinds(refused)) == ([], [(0, kind)])


def test_a_vote_for_a_response_against_itself_is_refused() -> None:
    assert kinds(tally([vote(0, 0)], RESPONSES)[1]) == [(0, "identical texts")]


def test_responses_to_different_problems_are_refused() -> None:
    with pytest.raises(Unusable, match="different problems"):
        _ = Vote("p-0", "q-1").problem_id
    assert Vote("p-x-0", "p-x-12").problem_id == "p-x"


def test_responses_that_say_the_same_are_one() -> None:
    same = [response(0, "a", finish="length"), response(1, "b"), response(2, "a ")]
    pairs, refused = tally([vote(0, 1), vote(2, 1)], same)
    assert not refused
    assert [(pair.chosen_origin, pair.chosen_complete) for pair in pairs] == [("p-2 tiny by 2 of 2 votes", True)]
    assert kinds(tally([vote(0, 1), vote(1, 2)], same)[1]) == [(0, "contradictory"), (1, "contradictory")]
    # What a response was given to go on from is part of what it says.
    begun = [response(0, "a", prefix="b "), response(1, "a", prefix="c "), response(2, "b a")]
    assert len(tally([vote(0, 1)], begun)[0]) == 1
    assert kinds(tally([vote(0, 2)], begun)[1]) == [(0, "identical texts")]
    # But not in another style: that is the answer to another prompt.
    other = [replace(same[0], style="zh", finish="stop"), same[1], same[2]]
    assert [pair.chosen_origin[:3] for pair in tally([vote(2, 1)], other)[0]] == ["p-2"]
    assert kinds(tally([vote(0, 2)], other)[1]) == [(0, "different styles")]


@given(
    st.lists(st.builds(vote, st.integers(0, 4), st.integers(0, 4), st.sampled_from(["", "ann", "bob"])), max_size=20)
)
def test_each_vote_comes_out_once_and_no_pair_is_contradicted(votes: list[Vote]) -> None:
    pairs, refused = tally(votes, RESPONSES)
    counted = Counter(place for place, _ in refused)
    assert set(counted.values()) <= {1}
    won = sum(int(pair.chosen_origin.split(" by ")[1].split()[0]) for pair in pairs)
    assert won + len(refused) == len(votes)
    stated = {(pair.chosen, pair.rejected) for pair in pairs}
    assert len(stated) == len(pairs)
    assert not stated & {(rejected, chosen) for chosen, rejected in stated}
