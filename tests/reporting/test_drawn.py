"""What is drawn to be looked at: every stratum is seen, sizes add up, and the draw is a draw."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixpref.reporting.drawn import draw, quotas
from mixpref.seeds import derive

SIZES = st.dictionaries(st.tuples(st.text(max_size=2)), st.integers(1, 2000), max_size=12)


@given(SIZES, st.integers(1, 600))
def test_quotas_add_up_and_are_there_to_be_taken(sizes: dict[tuple[str, ...], int], most: int) -> None:
    taken = quotas(sizes, most)
    assert sum(taken.values()) == min(most, sum(sizes.values()))
    assert all(0 <= taken[stratum] <= sizes[stratum] for stratum in sizes)
    if most >= 2 * len(sizes):
        assert all(taken.values())


@pytest.mark.parametrize(
    ("sizes", "most", "expected"),
    [
        ({"a": 3, "b": 2}, 24, {"a": 3, "b": 2}),
        ({"a": 1000, "b": 1000}, 24, {"a": 12, "b": 12}),
        ({"a": 5000, "b": 2}, 24, {"a": 22, "b": 2}),
        # Half of it evenly, the rest in proportion: 6 + 12 x 4994 / 5088 and 6 + 12 x 94 / 5088.
        ({"a": 5000, "b": 100}, 24, {"a": 18, "b": 6}),
        ({}, 24, {}),
    ],
)
def test_rare_strata_are_seen(sizes: dict[str, int], most: int, expected: dict[str, int]) -> None:
    found = quotas({(name,): size for name, size in sizes.items()}, most)
    assert {name: found[name,] for name in sizes} == expected


def test_the_smallest_numbers_of_each_stratum_are_taken() -> None:
    strata = ["a"] * 40 + ["b"] * 3 + ["a"] * 40
    random = [derive("test", number) for number in range(len(strata))]
    drawn = draw((((name,), each) for name, each in zip(strata, random, strict=True)), 12)
    assert Counter(strata[number] for number in drawn) == {"a": 9, "b": 3}
    of_a = sorted((number for number, name in enumerate(strata) if name == "a"), key=lambda number: random[number])
    assert {number for number in drawn if strata[number] == "a"} == {*of_a[:9]}


def test_nothing_is_drawn_of_nothing() -> None:
    assert draw((), 10) == set()
    assert draw(((("a",), 1),), 0) == set()
