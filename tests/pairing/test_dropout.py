"""Pieces are never cut, prefixes hold their share, and only sound continuations make pairs."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixpref.pairing.dropout import candidates, pieces, prefix, tokens, weight
from mixpref.records import Response

WHOLE = [
    "word",
    "don't",
    "l'été",
    "e\u0301te\u0301",
    "e.g",
    "3.5",
    "1,000",
    "1,000,000.25",
    "12:30",
    "3/4",
    "-5",
    "-5 %",
    "$1,000",
    "\\$18",
    "5\\%",
    "1{,}000",
    "1\\,000",
    "1\u202f000",
    "1e-5",
    ".5",
    "50 °C",
    "12cm",
    "P3",
    "١٢٫٥",
    "１２.5",
    "๑๒๓",
    "مرحبا",
    "नमस्ते",
    "क्षेत्र",
    "می\u200cخواهم",
    "한국어",
    "straße",
    "\\frac",
    "\\begin{aligned}",
    "\\\\",
    "\\{",
    "<think>",
    "</think>",
    "<image>",
    "<|im_end|>",
    "<ref>the red cube</ref><box>[[10, 20, 30, 40]]</box>",
    "<ref>dogs</ref> <box>[[1,2,3,4],[5,6,7,8]]</box>",
    "<box>[[10, 20, 30, 40]]</box>",
    "<ref>it</ref>",
    "中",
    "コー",
    "きゃ",
    "กำ",
    "ดี",
    "မြ",
    "န်",
    "ខ្មែ",
    "👨\u200d👩\u200d👧\u200d👦",
    "👍🏽",
    "🇩🇪",
    "1️⃣",
    "...",
    "**",
    "$$",
    "(",
    "。",
]
TEXTS = st.one_of(
    st.text(max_size=60),
    st.lists(st.one_of(st.sampled_from(WHOLE), st.sampled_from([" ", "\n", "-", "= "])), max_size=30).map("".join),
)
RATIOS = st.floats(0, 1, exclude_max=True)


def response(text: str = "I see a red cube.", **more: object) -> Response:
    fields = {"problem_id": "p", "sample": 0, "tokens": 8, "finish": "stop", "seed": 1, "style": "en"}
    fields |= {"sampler": "tiny T=1", "logprob": -1.0, **more}
    return Response(text=text, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("unit", WHOLE)
def test_what_belongs_together_is_one_piece(unit: str) -> None:
    assert pieces(unit) == [unit]
    assert pieces(f"so {unit} so") == ["so", f" {unit}", " so"]
    assert prefix(unit, 0.99) == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3-5", ["3", "-", "5"]),
        ("(a)-2", ["(", "a", ")", "-", "2"]),
        ("x = -5.", ["x", " =", " -5", "."]),
        ("<<16-3=13>>13", ["<<", "16", "-", "3", "=", "13", ">>", "13"]),
        ("so.5 ...5", ["so", ".", "5", " ...", "5"]),
        ("50 °Celsius", ["50", " °", "Celsius"]),
        ("state-of", ["state", "-", "of"]),
        ("\\frac{1}{2}", ["\\frac", "{", "1", "}", "{", "2", "}"]),
        ("a<b, c>d", ["a", "<", "b", ",", " c", ">", "d"]),
        ("有3个苹果。", ["有", "3", "个", "苹", "果", "。"]),
        ("コーヒーです", ["コー", "ヒー", "で", "す"]),
        ("ภาษาไทย", ["ภ", "า", "ษ", "า", "ไ", "ท", "ย"]),
        ("👍👍", ["👍", "👍"]),
        ("one\n\ntwo \n", ["one", "\n\ntwo \n"]),
        (" \n", [" \n"]),
        ("", []),
    ],
)
def test_pieces_end_between_units(text: str, expected: list[str]) -> None:
    assert pieces(text) == expected


@given(TEXTS)
def test_pieces_together_are_the_text(text: str) -> None:
    assert "".join(pieces(text)) == text
    assert all(pieces(text))


@given(TEXTS, RATIOS)
def test_a_prefix_ends_where_a_piece_does_and_holds_its_share(text: str, ratio: float) -> None:
    every = pieces(text)
    ends = ["", *accumulate(every)]
    kept = prefix(text, ratio)
    assert kept == kept.rstrip()
    assert text.startswith(kept)
    assert kept in {end.rstrip() for end in ends[:-1]} | {""}
    total = sum(map(weight, every))
    largest = max(map(weight, every), default=0)
    shares = [sum(map(weight, every[:count])) for count, end in enumerate(ends[:-1]) if end.rstrip() == kept]
    # The last piece is never kept, so that the share may fall short by it.
    assert not every or any(abs(share - ratio * total) <= largest for share in shares)


@given(st.lists(st.sampled_from(WHOLE), min_size=1, max_size=20), RATIOS)
def test_no_unit_is_cut(units: list[str], ratio: float) -> None:
    text = " ".join(units)
    kept = prefix(text, ratio)
    assert kept in {" ".join(units[:count]) for count in range(len(units))}


@given(st.text("aé中กе\u0301\u0e33\u200d👩👧🏽🇩🇪 ー", max_size=30), RATIOS)
def test_no_mark_is_parted_from_its_character(text: str, ratio: float) -> None:
    rest = text[len(prefix(text, ratio)) :]
    assert not rest or rest == text or rest[0] not in "\u0301\u200d🏽\u0e33ー"


def test_a_prefix_never_holds_all_and_at_0_nothing() -> None:
    assert prefix("I see a red cube", 0) == ""
    assert prefix("I see a red cube", 0.5) == "I see"
    assert prefix("I see", 0.99) == "I"
    assert prefix("红色立方体", 0.5) == "红色"
    assert prefix("", 0.5) == ""
    assert prefix("\n\nI see  \n", 0.99) == "\n\nI"
    # A separator that Python takes for white space, too.
    assert prefix("a b\x1c c d", 0.6) == "a b"
    for ratio in (1, -0.1, float("nan")):
        with pytest.raises(ValueError, match="below 1"):
            prefix("I see", ratio)


def test_digits_and_long_words_weigh_more_than_short_words() -> None:
    assert [weight(piece) for piece in (" cube", " extraordinarily", " 1234", "\n\nSo", ".", " ")] == [1, 2, 4, 2, 1, 1]
    # By pieces the numbers would be half of it.
    assert prefix("123456 654321 we see that they are digits", 0.5) == "123456"


def test_a_response_is_chosen_over_its_beginning_gone_on_with_blindly() -> None:
    chosen = response()
    blind = response(" a blue ball", prefix="I see", sample=1, sampler="tiny T=1 blind", finish="length")
    pairs, refused = candidates(chosen, [blind, replace(blind, text=" a dog.", finish="stop")], 0.5)
    assert not refused
    first, second = pairs
    assert (first.chosen, first.rejected) == (chosen.text, "I see a blue ball")
    assert (first.chosen_complete, first.rejected_complete, second.rejected_complete) == (True, False, True)
    assert (first.problem_id, first.why, first.style) == ("p", "dropout-ntp", "en")
    assert first.chosen_origin == "p-0 tiny T=1"
    assert first.rejected_origin == "p-0 tiny T=1 blind dropout-ntp sr0.5 blind"


@pytest.mark.parametrize(
    ("continuation", "reason"),
    [
        ({"text": "", "finish": "error", "error": "broken"}, "continuation failed"),
        ({"text": ""}, "continuation empty"),
        ({"text": " \n"}, "continuation empty"),
        ({"text": " a red cube."}, "equal to the chosen"),
        ({"text": "  a red\ncube. "}, "equal to the chosen"),
        ({"text": " a ball", "prefix": "We see"}, "of another response"),
        ({"text": " a ball", "style": "zh"}, "of another response"),
        ({"text": " a ball", "problem_id": "q"}, "of another response"),
    ],
)
def test_continuations_without_a_preference_are_refused_and_counted(continuation: dict, reason: str) -> None:
    good = response(" a dog.", prefix="I see")
    bad = response(**{"prefix": "I see", **continuation})
    pairs, refused = candidates(response(), [bad, good], 0.5)
    assert [pair.rejected for pair in pairs] == ["I see a dog."]
    assert refused == {reason: 1}


def test_white_space_alone_is_no_preference() -> None:
    chosen = response("I see  a\n\nred cube. ")
    assert candidates(chosen, [response(" a red cube.", prefix="I see")], 0.5) == ([], {"equal to the chosen": 1})


def test_equal_continuations_make_one_pair() -> None:
    good = response(" a dog.", prefix="I see")
    pairs, refused = candidates(response(), [good, replace(good, sample=1, text=" a  dog. ")], 0.5)
    assert (len(pairs), refused) == (1, {"repeated": 1})


@pytest.mark.parametrize(
    ("chosen", "reason"),
    [
        (response("", finish="error", error="broken"), "chosen failed"),
        (response(" \n"), "chosen empty"),
        (response(finish="length"), "chosen cut"),
    ],
)
def test_a_response_that_cannot_be_chosen_makes_no_pair(chosen: Response, reason: str) -> None:
    assert candidates(chosen, [response(" a dog.")] * 2, 0.5) == ([], {reason: 2})


def test_the_tokens_of_a_rejected_text_are_those_of_both_its_parts() -> None:
    chosen = response("I see a red cube now", tokens=7)
    assert tokens(chosen, response(" a dog", prefix="I see a", tokens=3)) == 3 + 4
    assert tokens(chosen, response("A dog", prefix="", tokens=3)) == 3
    assert tokens(response(""), response("A dog", prefix="", tokens=3)) == 3
