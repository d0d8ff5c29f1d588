import random

import pytest

from mixpref.verifying.extract import LONGEST, STYLES, extract


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("3 + 9 = 12.\nFinal answer: 12", "12"),
        ("3 + 9 = 12. Final answer: 12", "12"),
        ("3 + 9 = 12.\nFinal Answer: 12  \n\n", "12"),
        ("3 + 9 = 12.\nFINAL ANSWER: 12", "12"),
        ("3 + 9 = 12.\nFinal answer：12", "12"),
        ("3 + 9 = 12.\n**Final answer:** 12", "12"),
        ("3 + 9 = 12.\n**Final answer**: 12", "12"),
        ("3 + 9 = 12.\nFinal answer:\n12", "12"),
        ("So the final answer is: 12", "12"),
        ("The form is Final answer: x\nNow 3 + 9.\nFinal answer: 12", "12"),
        ("It is Monday.\nFinal answer: 12:30", "12:30"),
        ("3 + 9 = 12.\nFinal answer: 12\nFinal answer: 12", "12"),
        ("3 + 9 = 12.\nFinal answer:\n```\n12\n```", "12"),
        ("3 + 9 = 12.\nFinal answer:\n\\[\n12\n\\]", "12"),
        ("<think>3 + 9 = 12, Final answer: 11?</think>Final answer: 12", "12"),
    ],
)
def test_en_states_its_answer_after_the_trigger(text, answer):
    assert extract(text, "en").answer == answer


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", 'no "Final answer:"'),
        ("The answer is surely 12.", 'no "Final answer:"'),
        ("Answer: 12", 'no "Final answer:"'),
        ("Final answer: 12", "no reasoning"),
        ("The final answer: 12", "no reasoning"),
        ("**\n---\nFinal answer: 12", "no reasoning"),
        ("Well.\n" + "Final answer: 12\n" * 3, "3 times"),
        ("3 + 9 = 12.\nFinal answer:", "is empty"),
        ("3 + 9 = 12.\nFinal answer: 12\nI hope this helps.", "longer than one line"),
        ("3 + 9 = 12.\nFinal answer: 12\u2028It is 13.", "longer than one line"),
        ("Well.\nFinal answer: " + "9" * (LONGEST + 1), "longer than 2000 characters"),
    ],
)
def test_en_without_its_form_has_no_answer(text, reason):
    found = extract(text, "en")
    assert found.answer is None
    assert reason in found.reason


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("3 + 9 = 12.\nAnswer: \\boxed{12}", "12"),
        ("3 + 9 = 12.\nAnswer: $\\boxed {12}$ as asked.\nDone.", "12"),
        ("Thus $\\boxed{\\frac{1}{2}}$", "\\frac{1}{2}"),
        ("First \\boxed{3}, then \\boxed{12}", "12"),
        ("A set: \\boxed{\\{1, 2\\}}", "\\{1, 2\\}"),
    ],
)
def test_boxed_states_its_answer_in_the_last_box(text, answer):
    assert extract(text, "boxed").answer == answer


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("It is 12, the answer is 12.\nFinal answer: 12", "no \\boxed{}"),
        ("Answer: \\boxed{12}", "no reasoning"),
        ("So \\boxed{1} \\boxed{2} \\boxed{3}", "3 times"),
        ("So \\boxed{\\frac{1}{2}", "never closed"),
        ("So \\boxed 12", "never closed"),
        ("So \\boxed{ }", "is empty"),
        ("So \\boxed{1\n2}", "longer than one line"),
    ],
)
def test_boxed_without_its_form_has_no_answer(text, reason):
    found = extract(text, "boxed")
    assert found.answer is None
    assert reason in found.reason


@pytest.mark.parametrize("style", ["direct", "plain"])
def test_direct_is_the_whole_line(style):
    assert extract(" 12.\n", style).answer == "12"
    assert extract("light purple", style).answer == "light purple"
    assert extract("12\nbecause 3 + 9 = 12", style).answer is None
    assert extract(" \n", style).answer is None


def test_an_unknown_style_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="unknown prompt style 'zen'; the styles are en, zh, boxed"):
        extract("12", "zen")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("3 + 9 = 12。\n答案：12", "12"),
        ("3 + 9 = 12。\n答案: 12", "12"),
        ("3 + 9 = 12。\n**最终答案：** 12", "12"),
        ("3 + 9 = 12。\n**答案**：12", "12"),
        ("3 + 9 = 12。\n所以答案是：12。", "12。"),
        ("3 + 9 = 12。\n正确答案为：B", "B"),
        ("3 + 9 = 12。\n答案：\n12", "12"),
        ("答案：11？不，3 + 9 = 12。\n答案：12", None),
        ("先写答案：11，3 + 9 = 12。\n答案：12", "12"),
        ("答案：12", None),
        ("最终答案：12", None),
        ("3 + 9 = 12", None),
        ("3 + 9 = 12, 答案是 12", None),
        ("3 + 9 = 12.\nFinal answer: 12", None),
        ("算。" + "答案：12\n" * 3, None),
        ("3 + 9 = 12。\n答案：12\n希望有帮助。", None),
        ("3 + 9 = 12。\n答案：", None),
    ],
)
def test_zh_states_its_answer_after_its_trigger(text, answer):
    assert extract(text, "zh").answer == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>3 + 9 = 12.</think>\nAnswer: \\boxed{12}", "12"),
        # The template may have opened the thoughts.
        ("3 + 9 = 12.\n</think>\n\\boxed{12}", "12"),
        ("<think>\\boxed{1} \\boxed{2} \\boxed{3}</think>\\boxed{12}", "12"),
        ("<think>3 + 9.</think>\\boxed{11}, no: \\boxed{12}", "12"),
        ("<think>3 + 9 = \\boxed{12}.</think>It is 12.", None),
        ("<think>3 + 9 = 12. \\boxed{12}", None),
        ("3 + 9 = 12. \\boxed{12}", None),
        ("<think>\n</think>\\boxed{12}", None),
        ("<think>3</think>\\boxed{12}<think>No", None),
        ("<think>3</think>\\boxed{12", None),
    ],
)
def test_r1_states_its_answer_after_its_thoughts(text, answer):
    assert extract(text, "r1").answer == answer
    assert extract(text, "en_r1") == extract(text, "zh_r1") == extract(text, "r1")


def test_the_papers_names_are_aliases():
    text = "3 + 9 = 12. Answer: \\boxed{12}"
    assert extract(text, "en_v2") == extract(text, "zh_v2") == extract(text, "boxed")


def test_thoughts_are_no_answer_in_any_style():
    for style in STYLES:
        assert extract("<think>It is \\boxed{12}. Final answer: 12\n答案：12", style).answer is None
        assert extract("<think>The answer is 12. \\boxed{12}</think>", style).answer is None
    assert extract("<think>\n\n</think>\n\n12", "direct").answer == "12"


def test_no_style_raises_or_takes_long():
    pieces = [
        "{", "\\boxed{", "\\text{", "**", "((", "- ", "A. ", "=", "The answer is ", "Answer:\n", "答案是", "选B",
        "<answer>", "<think>", "</think>", "(B) ", "B is correct ", "if ", "So. ",
        "**1** ", "| ", "\n", " ", "```\n", "1",
        "3. ", "because ", "not ", "\u2028", "\u202e", "\x00", "\ud800", "。", "! ", "the answer to ",
        "answer**", "= 1 ",
        "correct option ",
    ]  # fmt: skip
    for piece in pieces:
        for style in ("any", "en", "zh", "r1"):
            extract("So Final answer: " + piece * (100_000 // len(piece)), style)
    rng = random.Random(0)
    for _ in range(1500):
        text = "".join(rng.choices(pieces, k=rng.randint(0, 25)))
        for style in STYLES:
            found = extract(text, style)
            assert (found.answer is None) == bool(found.reason), text


@pytest.mark.parametrize("dots", range(60, 140, 7))
@pytest.mark.parametrize("words", ["Final answer: ", "答案是：", "The answer is: "])
def test_words_that_announce_a_box_are_no_reasoning_wherever_they_stand(dots, words):
    bare = words.removeprefix("The ")
    assert extract(f"{'.' * dots}{bare}\\boxed{{4}}", "boxed").answer is None
    assert extract(f"{'.' * dots}{bare}so \\boxed{{4}}", "boxed").answer == "4"
    assert extract(f"{bare}{'.' * dots}two {bare}\\boxed{{4}}", "boxed").answer == "4"


@pytest.mark.parametrize("style", ["en", "boxed", "r1"])
def test_an_open_answer_may_have_many_lines(style):
    said = "It is a list:\n- one\n- two"
    text = {
        "en": f"I look at it.\nFinal answer: {said}",
        "boxed": f"I look at it.\nAnswer: \\boxed{{{said}}}",
        "r1": f"<think>I look at it.</think>\n\\boxed{{{said}}}",
    }[style]
    assert extract(text, style).answer is None
    assert extract(text, style, lines=True).answer == said
    assert extract(text.replace(said, " "), style, lines=True).answer is None
