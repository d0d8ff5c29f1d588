import pytest

from mixpref.pairing.correctness import candidates, holds
from mixpref.records import Problem, Verdict


def wrong(answer, rule="number"):
    return Verdict(outcome="wrong", answer=answer, rule=rule)


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("12 or 13", "12"),
        ("12 cm", "12"),
        ("(2, 12)", "2"),
        ("(2,12)", "12"),
        ("light purple", "purple"),
        ("1,000 m", "1000"),
        ("3-5", "5"),
        ("Paris, France", "paris"),
        ("$12$ cm", "**12**"),
    ],
)
def test_a_right_answer_within_a_wrong_one_is_found(answer, right):
    assert holds(wrong(answer, "text"), right)


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("12", "2"),
        ("12", "1"),
        ("-5", "5"),
        ("12.5", "12"),
        ("12.5", "5"),
        ("12,000", "12"),
        ("12:30", "12"),
        ("purplish", "purple"),
        ("None", "No"),
        ("12", "12 cm"),
        ("P3", "13"),
        ("12", ""),
    ],
)
def test_parts_of_numbers_and_words_are_no_answers(answer, right):
    assert not holds(wrong(answer, "text"), right)


def test_options_that_share_words_hold_nothing_of_each_other():
    assert not holds(wrong("B. light purple", "choice"), "purple")
    assert not holds(wrong("(B) a dog", "choice"), "A")


def test_right_and_wrong_are_paired_and_those_that_hold_the_right_answer_are_counted(grouped, say):
    problem = Problem(question="?", answer="12 cm")
    found = grouped(
        problem, say("12 cm"), say("2 cm"), say("0.12 m"), say("12 cm/s"), "12 cm, I think", (say("13"), "length")
    )
    kept, left_out = candidates(found, problem.answer)
    assert [(right.response.sample, worse.response.sample) for right, worse in kept] == [(0, 1), (2, 1)]
    # 12 cm/s holds 12 cm, for the right responses 0 and 2.
    assert left_out == 2


def test_without_a_right_or_a_wrong_response_there_is_no_pair(grouped, say):
    problem = Problem(question="?", answer="12")
    assert candidates(grouped(problem, say("12"), "unclear"), ("12",)) == ([], 0)
    assert candidates(grouped(problem, say("11"), "unclear"), ("12",)) == ([], 0)
    assert candidates(grouped(problem, (say("12"), "length"), say("11")), ("12",)) == ([], 0)
