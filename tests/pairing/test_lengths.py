import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixpref.pairing.lengths import Lengths

PAIRS = [("correctness", 100, 60), ("correctness", 50, 50), ("format", 80, 256), ("dropout-ntp", 10, 11)]


def added(pairs):
    lengths = Lengths()
    for pair in pairs:
        lengths.add(*pair)
    return lengths


def summed(pairs):
    return added(pairs).summary()


def test_all_pairs_and_each_kind_are_summed_up():
    summary = summed(PAIRS)
    assert list(summary) == ["all", "correctness", "dropout-ntp", "format"]
    assert summary["all"] == {
        "pairs": 4, "chosen": 60.0, "rejected": 94.25, "gap": -34.25, "chosen longer": 0.25, "chosen shorter": 0.5,
    }  # fmt: skip
    assert summary["correctness"] == {
        "pairs": 2, "chosen": 75.0, "rejected": 55.0, "gap": 20.0, "chosen longer": 0.5, "chosen shorter": 0.0,
    }  # fmt: skip
    assert json.loads(json.dumps(summary)) == summary


@given(st.permutations(PAIRS))
def test_the_order_of_the_pairs_changes_nothing(pairs):
    assert json.dumps(summed(pairs)) == json.dumps(summed(PAIRS))


@pytest.mark.parametrize("unknown", [("foreign", None, None), ("vote", 5, None), ("vote", None, 5)])
def test_unknown_lengths_are_counted_and_in_no_mean(unknown):
    assert summed([*PAIRS, unknown]) == {**summed(PAIRS), "of unknown length": 1}


def test_of_no_pairs_there_is_no_mean():
    assert summed([]) == {"all": {"pairs": 0}}


def test_the_lengths_of_all_pairs_are_told_in_a_line():
    assert added(PAIRS).told() == (
        "chosen have 60 tokens, rejected 94 on average; the chosen one is longer in 25 % of the pairs, shorter in 50 %"
    )
    assert added([("foreign", None, None)]).told() == "the lengths of chosen and rejected are not known"
