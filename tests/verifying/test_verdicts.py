"""The public `verify`: its four outcomes, and the mistakes of other verifiers."""

import json
import os
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from string import ascii_uppercase

import pytest

from mixpref import world
from mixpref.records import Problem
from mixpref.verifying import rules, verify, verify_all
from mixpref.verifying.pool import Pool, Reply


def outcome(gold, answer, *, choices=(), question="What is it?", rule=None):
    problem = Problem(question=question, answer=gold, choices=choices, rule=rule)
    return verify(problem, f"Let me see.\nFinal answer: {answer}").outcome


def test_a_verdict_tells_what_was_compared():
    verdict = verify(Problem(question="How many?", answer="12"), "3 + 8 = 11.\nFinal answer: $11$.", "en")
    assert verdict.outcome == "wrong"
    assert verdict.answer == "$11$."
    assert verdict.normalised == "11"
    assert verdict.rule == "number"
    assert verdict.detail == "11 against 12"
    assert verdict.score == 0.0


def test_styles_are_read_in_their_own_form_only():
    problem = Problem(question="How many?", answer="12")
    texts = {"en": "3 + 9.\nFinal answer: 12", "boxed": "3 + 9.\nAnswer: \\boxed{12}", "direct": "12.", "plain": "12"}
    for style, text in texts.items():
        assert verify(problem, text, style).outcome == "correct"
    assert verify(problem, texts["boxed"], "en").outcome == "unparsed"
    assert verify(problem, texts["en"], "boxed").outcome == "unparsed"
    assert verify(problem, texts["en"], "direct").outcome == "unparsed"
    with pytest.raises(ValueError, match="unknown prompt style"):
        verify(problem, "12", "zen")


@pytest.mark.parametrize(
    ("gold", "answer", "expected"),
    [
        # Rules that others got wrong: what is right is called wrong ...
        ("A", "A)", "correct"),
        ("A", "A: foo", "correct"),
        ("A. foo", "A", "correct"),
        ("A. foo", "foo", "correct"),
        ("A. foo", "(A) foo", "correct"),
        ("B", "\\text{B}", "correct"),
        ("\\frac{1}{2}", "\\dfrac{1}{2}", "correct"),
        ("\\frac{x}{2}", "\\dfrac{x}{2}", "correct"),
        ("1000", "1,000", "correct"),
        ("(3,-4)", "(3, -4)", "correct"),
        ("Paris", "paris.", "correct"),
        ("blue", "The answer is: blue", "correct"),
        ("dog", "a dog", "correct"),
        ("No", "No, it is smaller", "correct"),
        # ... and what is wrong is called right.
        ("paris", "london", "wrong"),
        ("paris", "pariss", "wrong"),
        ("-5", "5", "wrong"),
        ("5", "-5", "wrong"),
        ("x>3", "x<3", "wrong"),
        ("[1,2)", "(1,2]", "wrong"),
        ("3", "3.5", "wrong"),
        ("3", "3.14", "wrong"),
        ("1998", "1999", "wrong"),
        ("104", "100", "wrong"),
        ("1950", "1999", "wrong"),
        ("12 m", "12 cm", "wrong"),
        ("12", "2", "wrong"),
        ("A. foo", "A. bar", "wrong"),
        ("No", "None", "unparsed"),
        ("No", "Not sure", "unparsed"),
        ("blue", "It is not blue", "wrong"),
        ("blue", "red, green or blue", "wrong"),
        ("3", "blue", "wrong"),
        # Undecided answers are neither.
        ("3", "2 or 3", "unparsed"),
        ("3", "not 3", "unparsed"),
        ("3", "x > 3", "unparsed"),
        ("3", "..", "unparsed"),
        ("3", "**", "unparsed"),
    ],
)
def test_answers(gold, answer, expected):
    assert outcome(gold, answer) == expected


def test_any_of_several_gold_answers_is_right():
    assert outcome(("grey", "gray"), "Gray") == "correct"
    assert outcome(("12", "12.5"), "12.5") == "correct"
    assert outcome(("A", "C"), "C", choices=("1", "2", "3")) == "correct"
    assert outcome(("A", "C"), "B", choices=("1", "2", "3")) == "wrong"


def test_choices():
    options = ("red", "light purple", "purple")
    for gold in ("C", "purple", "(C)", "C. purple"):
        assert outcome(gold, "C", choices=options) == "correct"
        assert outcome(gold, "purple", choices=options) == "correct"
        assert outcome(gold, "light purple", choices=options) == "wrong"
        assert outcome(gold, "E", choices=options) == "wrong"
        assert outcome(gold, "B or C", choices=options) != "correct"
        assert outcome(gold, "red or purple", choices=options) == "unparsed"
        assert outcome(gold, "B. purple", choices=options) == "unparsed"


def test_rambling_that_mentions_the_answer_is_not_right():
    problem = Problem(question="?", answer="12")
    for style in ("en", "boxed", "direct"):
        assert verify(problem, "It may be 10, 11, 12 or 13; I think 12 is\nlikely.", style).outcome == "unparsed"


def test_what_cannot_be_judged_is_an_error_and_never_wrong():
    assert outcome(None, "12") == "error"
    assert outcome((), "12") == "error"
    assert outcome("12", "12", rule="magic") == "error"
    assert outcome("blue", "12", rule="number") == "error"
    assert outcome("pink", "A", choices=("red", "blue")) == "error"
    assert outcome("A", "A", choices=("B", "A", "C")) == "error"
    assert outcome("A", "A", rule="choice") == "error"
    assert outcome("A", "A", choices=tuple(map(str, range(30)))) == "error"


def test_a_failing_judge_is_an_error(monkeypatch):
    def fails(problem, answer):
        raise ZeroDivisionError("a defect")

    monkeypatch.setitem(rules.RULES, "number", fails)
    verdict = verify(Problem(question="?", answer="12"), "Well.\nFinal answer: 12")
    assert verdict.outcome == "error"
    assert verdict.answer == "12"
    assert verdict.detail == "ZeroDivisionError: a defect"


def test_algebra_that_hangs_is_an_error_of_that_answer_alone():
    gold = Problem(question="What is it?", answer="\\frac{3\\pi}{7}")
    answers = [
        "\\frac{6}{14}\\pi",
        "\\sum_{k=1}^{10^9} k^k",
        "\\frac{4\\pi}{7}",
        "\\sum_{k=1}^{10^9} k^{k+1}",
        "3\\pi/7",
    ]
    with Pool(workers=1, seconds=1.0) as pool:
        verdicts = list(verify_all(((gold, answer, "direct") for answer in answers), pool=pool))
    assert [verdict.outcome for verdict in verdicts] == ["correct", "error", "wrong", "error", "correct"]
    assert [verdict.answer for verdict in verdicts] == answers
    assert verdicts[1].detail == "took longer than 1 s"
    assert verdicts[1].score == 0.0


def test_algebra_that_crashes_is_an_error():
    class Crashing:
        def map(self, tasks):
            return [Reply(failure="the worker crashed (signal 11, SIGSEGV)") for _ in tasks]

    gold = Problem(question="What is it?", answer="\\frac{3\\pi}{7}")
    verdict = verify(gold, "\\frac{6}{14}\\pi", "direct", pool=Crashing())
    assert (verdict.outcome, verdict.detail) == ("error", "the worker crashed (signal 11, SIGSEGV)")


def test_expressions_are_judged_in_threads_as_anywhere():
    def judged(number):
        gold = Problem(question="What is it?", answer=f"\\frac{{{number}\\pi}}{{7}}")
        right, wrong = f"\\frac{{{2 * number}}}{{14}}\\pi", f"\\frac{{{number + 1}\\pi}}{{7}}"
        return verify(gold, right, "direct").outcome, verify(gold, wrong, "direct").outcome

    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(judged, range(1, 9))) == {("correct", "wrong")}


def test_no_text_raises_or_fails():
    pieces = [
        "Final answer:", "\\boxed{", "}", "{", "$", "\\frac", "{1}", "12", "-", "cm", " ", "\n", "A", "(B)", ".", ",",
        "=", "**", "\\text{", "½", "e", "99", "/", "^", "not", "or", "\\", "'", "no", "the answer is",
        "\u2028", "\ud800", "١", "²", "\x00",
    ]  # fmt: skip
    problems = [
        Problem(question="How many cm?", answer="12 cm"),
        Problem(question="?", answer="B", choices=("red", "no", "1/2")),
        Problem(question="?", answer="B. foo"),
    ]
    rng = random.Random(0)
    for _ in range(3000):
        text = "".join(rng.choices(pieces, k=rng.randint(0, 25)))
        for style in ("en", "boxed", "direct"):
            assert verify(rng.choice(problems), text, style).outcome != "error", text
            assert verify(rng.choice(problems), f"So Final answer: {text}", style).outcome != "error", text


@pytest.mark.parametrize(
    "piece", ["{", "1/", "$", "the ", "\\boxed{", "\\text{", "**", "((", "1,", "- ", "A. ", "=", "cm/"]
)
def test_no_text_takes_long(piece):
    """A pattern that tries all ways of a long text would run into the time limit of the whole session."""
    problems = [Problem(question="?", answer="12"), Problem(question="?", answer="B", choices=("a", "b"))]
    for text in (piece * 200_000, f"So Final answer: {piece * 400}", f"So \\boxed{{{piece * 400}}}"):
        for problem in problems:
            for style in ("en", "boxed", "direct"):
                assert verify(problem, text, style).outcome in ("unparsed", "wrong")


def test_the_worlds_answers_pass_and_its_slips_do_not():
    for family in world.FAMILIES:
        stream = world.items("train", 0, family)
        for _ in range(40):
            item, choices = next(stream)
            problem = Problem(question=item.question, answer=item.answer, choices=choices)
            stated = [item.answer, *([ascii_uppercase[choices.index(item.answer)]] if choices else [])]
            for answer in stated:
                assert verify(problem, answer, "direct").outcome == "correct"
                assert verify(problem, f"{' '.join(item.steps)}\nFinal answer: {answer}").outcome == "correct"
            for slip in set(item.slips) - {item.answer}:
                assert verify(problem, slip, "direct").outcome == "wrong"


@pytest.fixture(scope="module")
def data() -> Path:
    folder = os.environ.get("MIXPREF_TEST_DATA")
    if not folder:
        pytest.skip("MIXPREF_TEST_DATA names no folder of real data sets")
    return Path(folder)


def rows(file: Path):
    if not file.exists():
        pytest.skip(f"{file} is missing")
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def passes(problem: Problem) -> bool:
    assert problem.answer
    return verify(problem, f"Thus.\nFinal answer: {problem.answer[0]}").outcome == "correct"


@pytest.mark.parametrize("file", ["puzzlevqa/puzzles.jsonl", "mathvision/testmini.jsonl"])
def test_gold_answers_of_real_data_pass(data, file):
    for row in rows(data / file):
        options = tuple(map(str, row["options"]))
        assert passes(Problem(question=row["question"], answer=str(row["answer"]), choices=options)), row
        if "puzzle" in file:
            assert passes(Problem(question=row["question"], answer=str(row["answer"]))), row


def test_judgements_of_gsm8k_are_reproduced(data):
    judged = 0
    for row in rows(data / "gsm8k" / "example_model_solutions.jsonl"):
        problem = Problem(question=row["question"], answer=row["ground_truth"].rpartition("A:")[2].strip())
        assert passes(problem)
        for solution in (value for value in row.values() if isinstance(value, dict)):
            reasoning, _, answer = solution["solution"].rpartition("A:")
            found = verify(problem, f"{reasoning}Final answer: {answer}")
            assert found.outcome != "error"
            assert (found.outcome == "correct") == solution["is_correct"], (answer, found)
            judged += 1
    assert judged == 5276


@pytest.mark.parametrize("model", ["output_bard", "output_gpt4_2shot_solution"])
def test_nothing_that_mathvista_calls_wrong_is_right(data, model):
    """The other way round the official rule takes the nearest option, whatever was said: "N/A" is often right there."""
    file = data / "mathvista" / "testmini.json"
    if not file.exists():
        pytest.skip(f"{file} is missing")
    questions = json.loads(file.read_text(encoding="utf-8"))
    outputs = json.loads((data / "mathvista" / "outputs" / f"{model}.json").read_text(encoding="utf-8"))
    right = 0
    for key, output in outputs.items():
        if output["extraction"] is None or output["prediction"] is None:
            continue
        row = questions[key]
        problem = Problem(question=row["question"], answer=str(row["answer"]), choices=tuple(row["choices"] or ()))
        found = verify(problem, f"So.\nFinal answer: {output['extraction']}").outcome
        assert found != "correct" or output["true_false"], (row["answer"], output)
        right += found == "correct"
    assert right > 150
