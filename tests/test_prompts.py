import pytest

from mixpref import prompts
from mixpref.records import Problem
from mixpref.verifying.extract import STYLES, extract

PLAIN = Problem(question="How many are there?", answer="3")


@pytest.mark.parametrize("style", prompts.STYLES)
def test_every_style_holds_the_question_and_can_be_read(style):
    assert "How many are there?" in prompts.ask(PLAIN, style)
    assert "{" not in prompts.ask(PLAIN, style).replace("\\boxed{..}", "").replace("\\boxed{}", "")
    assert style in STYLES


@pytest.mark.parametrize(
    ("style", "answer"),
    [
        ("zh", "先看图。\n答案: 3"),
        ("zh_boxed", "先看图。\n答案: \\boxed{3}"),
        ("r1", "<think>I look and count.</think>\nIt is \\boxed{3}."),
        ("zh_r1", "<think>数一数。</think>\n\\boxed{3}"),
        ("knowledge", "A rule says so.\nFinal answer: 3"),
        ("visual", "I see three.\nFinal answer: 3"),
        ("grounded", "<ref>cup</ref><box>[[1, 2, 3, 4]]</box> and two more.\nFinal answer: 3"),
    ],
)
def test_an_answer_in_the_asked_for_form_is_found(style, answer):
    assert extract(answer, style).answer == "3"


def test_the_papers_template_to_the_letter():
    assert prompts.ask(PLAIN, "en") == (
        "Your task is to answer the question below. Give step by step reasoning before you answer, and when you're "
        'ready to answer, please use the format "Final answer: .."\n\nQuestion:\n\nHow many are there?'
    )


@pytest.mark.parametrize(
    "ending",
    [
        "Answer the question using a single word or phrase.",
        "answer with the option's letter from the given choices directly.",
        "Please answer Yes or No.",
        "Please answer Yes or No. Answer the question using a single word or phrase.",
        "请直接回答选项字母。",
    ],
)
def test_demands_for_a_short_answer_go(ending):
    asked = prompts.ask(Problem(question=f"Is it red?\n{ending}", answer="yes"), "en")
    assert asked.endswith("Question:\n\nIs it red?")


def test_a_demand_in_the_middle_stays():
    question = "Please answer Yes or No. What would a liar say?"
    assert prompts.ask(Problem(question=question, answer="no"), "plain") == question


def test_marks_become_places_and_images_without_one_come_first():
    problem = Problem(question="Compare <image> and <image>.", answer="x", images=(b"1", b"2", b"3"))
    (turn,) = prompts.messages(problem, "plain")
    assert [part["type"] for part in turn["content"]] == ["image", "text", "image", "text", "image", "text"]
    with pytest.raises(ValueError, match="2 <image> marks but 1 images"):
        prompts.messages(Problem(question="<image> <image>", answer="x", images=(b"1",)), "plain")


def test_an_unknown_style_is_an_error():
    with pytest.raises(ValueError, match="unknown prompt style 'fr'"):
        prompts.ask(PLAIN, "fr")


def test_a_benchmarks_own_words_are_left_as_they_are():
    asked = "How many?\nAnswer the question using a single word or phrase."
    problem = Problem(question=asked, answer="2", choices=("1", "2"))
    assert prompts.ask(problem, prompts.VERBATIM) == asked
    assert prompts.VERBATIM not in prompts.STYLES
