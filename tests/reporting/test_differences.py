"""Marks lose nothing of a text, agree between its two sides, and show what a reader would point at."""

from __future__ import annotations

import difflib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixpref.reporting import differences
from mixpref.reporting.differences import Parts, marked

# Few words, so that texts have some in common; and any characters at all.
WORDS = st.lists(st.sampled_from(["the", "bar", "is", "4", "5.5", "\n", " ", ". ", "图", "三", "_", "<b>", "é"]))
TEXTS = WORDS.map("".join) | st.text(max_size=40)


def text(parts: Parts) -> str:
    return "".join(piece for _, piece in parts)


def common(parts: Parts) -> str:
    return "".join(piece for mark, piece in parts if not mark)


@given(TEXTS, TEXTS)
def test_the_parts_are_the_text_and_the_unmarked_ones_are_the_same_on_both_sides(one: str, other: str) -> None:
    here, there = marked(one, other)
    assert (text(here), text(there)) == (one, other)
    assert common(here) == common(there)
    for parts in (here, there):
        assert {mark for mark, _ in parts} <= {"", "-"}
        assert all(piece for _, piece in parts)
        assert all(first[0] != second[0] for first, second in pairwise(parts))


@given(TEXTS)
def test_equal_texts_have_no_marks(one: str) -> None:
    assert marked(one, one) == (([("", one)] if one else []),) * 2


def test_whole_words_and_numbers_are_marked() -> None:
    here, there = marked("The bar is 14.5.\nFinal answer: 14.5", "The bars are 14.\nFinal answer: 14")
    assert here == [("", "The "), ("-", "bar is 14.5"), ("", ".\nFinal answer: "), ("-", "14.5")]
    assert there == [("", "The "), ("-", "bars are 14"), ("", ".\nFinal answer: "), ("-", "14")]


def test_chinese_is_compared_character_by_character() -> None:
    here, _ = marked("图中有三个苹果。答案: 3", "图中有四个苹果。答案: 4")
    assert here == [("", "图中有"), ("-", "三"), ("", "个苹果。答案: "), ("-", "3")]


def test_commas_alone_are_nothing_in_common() -> None:
    here, there = marked("a, b, c", "x, y, z")
    assert (here, there) == ([("-", "a, b, c")], [("-", "x, y, z")])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (" ".join(f"w{n}" for n in range(9000)), " ".join(f"w{n}" for n in range(9000) if n % 5)),
        ("so and " * 3000, "and so " * 3000),
        ("so much " * 300, "so little " * 300),
    ],
)
def test_the_work_is_bounded(one: str, other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    search = difflib.SequenceMatcher.find_longest_match
    looks = []

    def watched(matcher: difflib.SequenceMatcher, alo: int, ahi: int, blo: int, bhi: int) -> difflib.Match:
        looks.extend(1 + len(matcher.b2j.get(word, ())) for word in matcher.a[alo:ahi])
        return search(matcher, alo, ahi, blo, bhi)

    monkeypatch.setattr(difflib.SequenceMatcher, "find_longest_match", watched)
    here, there = marked(f"First. {one} Last: 1", f"First. {other} Last: 1")
    assert sum(looks) <= differences.WORK
    assert (text(here), text(there)) == (f"First. {one} Last: 1", f"First. {other} Last: 1")
    assert common(here) == common(there)
    assert here[0][1].startswith("First.")
    assert here[-1][0] == ""
    assert here[-1][1].endswith(" Last: 1")
