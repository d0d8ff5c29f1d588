import pytest

from mixpref.verifying.extract import LONGEST, extract


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
    with pytest.raises(ValueError, match="unknown prompt style 'zen'; the styles are en, boxed"):
        extract("12", "zen")
