"""The rules that are metrics of benchmarks: what they accept, what they never accept, and their scores."""

import random

import pytest

from mixpref.records import Problem
from mixpref.verifying.metrics import anls, consensus_form, edit_distance, exact, relaxed, vqa

RULES = (exact, anls, vqa, relaxed)


def judge(rule, gold, answer, question="What is it?"):
    return rule(Problem(question=question, answer=gold), answer)


@pytest.mark.parametrize("rule", RULES)
def test_a_problem_without_a_gold_answer_cannot_be_judged(rule):
    for gold in (None, ()):
        with pytest.raises(ValueError, match="no gold answer"):
            judge(rule, gold, "12")


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("gold", ["Paris", "12", "-5", "3.5", "x>3", "[1,2)", "New York", "50%", "1,000"])
def test_a_gold_answer_is_right_in_any_typesetting(rule, gold):
    for answer in (gold, f"**{gold}**", f"{gold}.", f'"{gold}"', f" {gold} ", f"\\text{{{gold}}}", f"${gold}$"):
        judged = judge(rule, gold, answer)
        assert judged.outcome == "correct", answer
        assert judged.score in (None, 1.0)
        assert judged.normalised


@pytest.mark.parametrize("rule", RULES)
def test_any_of_several_gold_answers_is_right(rule):
    assert judge(rule, ("grey", "gray"), "gray").outcome == "correct"
    assert judge(rule, ("grey", "gray"), "blue").outcome == "wrong"


@pytest.mark.parametrize("rule", [exact, vqa, relaxed])
@pytest.mark.parametrize(
    ("gold", "answer"),
    [("-5", "5"), ("5", "-5"), ("x>3", "x<3"), ("[1,2)", "(1,2]"), ("3.5", "35"), ("1998", "1999"), ("12 m", "12 cm"),
     ("B", "C"), ("vitamin A", "vitamin B"), ("vitamin A", "vitamin"), ("12:30", "1230"), ("5", "5!"),
     ("3/4", "3 4"), ("(1, 2)", "12"), ("$5", "€5"), ("x-3", "x 3"), ("x+1", "x-1"), ("2", "2:1")],
)  # fmt: skip
def test_another_number_sign_unit_or_letter_is_never_right(rule, gold, answer):
    assert judge(rule, gold, answer).outcome != "correct"


def test_a_factorial_is_no_exclamation():
    assert judge(vqa, "5!", "5").outcome == "wrong"
    assert judge(vqa, "n!", "n").outcome == "wrong"
    assert judge(vqa, "stop", "Stop!").outcome == "correct"


def test_exact_counts_the_case():
    assert judge(exact, "pH", "pH").outcome == "correct"
    assert judge(exact, "pH", "ph").outcome == "wrong"


def test_anls_forgives_slips_of_reading_only():
    slip = judge(anls, "paris", "Pariss")
    assert slip.outcome == "correct"
    assert slip.score == pytest.approx(5 / 6)
    other = judge(anls, "paris", "london")
    assert (other.outcome, other.score) == ("wrong", 0.0)
    # At the threshold it counts, below it the score is cut to 0.
    assert judge(anls, "abcd", "abxy").score == 0.5
    assert judge(anls, "abcd", "axyz").score == 0.0
    assert judge(anls, ("paris", "pariss"), "pariss").score == 1.0


def test_edit_distance_is_levenshteins():
    def table(one, other):
        row = list(range(len(other) + 1))
        for count, character in enumerate(one, 1):
            previous, row = row, [count]
            for place, wanted in enumerate(other):
                row.append(min(previous[place] + (character != wanted), previous[place + 1] + 1, row[-1] + 1))
        return row[-1]

    rng = random.Random(0)
    for _ in range(1500):
        one, other = ("".join(rng.choices("abcd", k=rng.randint(0, 14))) for _ in range(2))
        assert edit_distance(one, other) == table(one, other), (one, other)
    assert edit_distance("kitten", "sitting") == 3
    assert edit_distance("a" * 300, "b" * 200) == 300


def test_vqa_is_the_mean_over_all_but_one_annotator():
    def score(matches):
        return judge(vqa, ("red",) * matches + ("blue",) * (10 - matches), "red").score

    # min(1, matches / 3) over the ten sets of nine: of one match 9 x 1/3, of two 8 x 2/3 + 2 x 1/3, ...
    assert [round(score(matches), 4) for matches in range(6)] == [0.0, 0.3, 0.6, 0.9, 1.0, 1.0]
    assert judge(vqa, ("red",) + ("blue",) * 9, "red").outcome == "wrong"
    assert judge(vqa, ("red",) * 2 + ("blue",) * 8, "red").outcome == "correct"


@pytest.mark.parametrize(
    ("answer", "form"),
    [
        ("A dog.", "dog"),
        ("two", "2"),
        ("None", "0"),
        ("T-shirt", "t shirt"),
        ("red, white and blue!", "red white and blue"),
        ("u.s.a.", "usa"),
        ("1,000", "1000"),
        ("dont", "don't"),
        ("red/white", "red white"),
        ("coke (soda)", "coke soda"),
        ("10-inch", "10 inch"),
        ("3 - 5", "3-5"),
        ("km/h", "km/h"),
    ],
)
def test_vqa_compares_without_case_articles_and_punctuation(answer, form):
    assert consensus_form(answer) == form
    assert judge(vqa, form, answer).outcome == "correct"


def test_vqa_reads_no_answer_in_punctuation():
    assert judge(vqa, "red", '"?"').outcome == "unparsed"


@pytest.mark.parametrize(
    ("gold", "answer", "expected"),
    [
        ("100", "104", "correct"),
        ("100", "105", "correct"),
        ("100", "106", "wrong"),
        ("-100", "-104", "correct"),
        ("-100", "100", "wrong"),
        ("0", "0.0", "correct"),
        ("0", "0.01", "wrong"),
        ("1,234", "1250", "correct"),
        ("2 million", "2.05 million", "correct"),
        ("45%", "46", "correct"),
        ("45", "46%", "correct"),
        ("45%", "0.45", "correct"),
        ("0.45", "45%", "correct"),
        ("45%", "48", "wrong"),
        ("12 m", "12.3 m", "correct"),
        ("12 m", "1230 cm", "correct"),
        ("12 m", "12.3 cm", "wrong"),
        ("Yes", "yes", "correct"),
        ("Yes", "No", "wrong"),
        ("Yes", "Yes, it is larger", "correct"),
        ("No", "Yes, no other is larger", "wrong"),
        ("Dark blue", "dark blue.", "correct"),
        ("Dark blue", "blue", "wrong"),
        ("100", "103 or 104", "unparsed"),
        ("100", "blue", "wrong"),
        ("[10, 20]", "[10, 20.5]", "correct"),
        ("[10, 20]", "10 and 20", "correct"),
        ("[10, 20]", "[20, 10]", "wrong"),
        ("[10, 20]", "[10]", "wrong"),
        ("[red, 20]", "Red, 21", "correct"),
        ("[red, 20]", "red, 22", "wrong"),
    ],
)
def test_relaxed_takes_five_per_cent_and_no_more(gold, answer, expected):
    assert judge(relaxed, gold, answer, "What is the value?").outcome == expected


@pytest.mark.parametrize(
    "question",
    ["Which year saw the largest number of sales?", "In what year was the total highest?", "When did it peak?",
     "What is the year with the highest value?", "Where do the lines cross?"],
)  # fmt: skip
def test_years_are_exact(question):
    assert judge(relaxed, "1950", "1950", question).outcome == "correct"
    for answer in ("1951", "1999", "1960.5"):
        assert judge(relaxed, "1950", answer, question).outcome == "wrong"
    assert judge(relaxed, "[2014, 2016]", "[2014, 2017]", question).outcome == "wrong"


def test_amounts_that_look_like_years_are_not_exact():
    for question in ("How many people came in the year 2010?", "What was the value in 2010?", "What is the total?"):
        assert judge(relaxed, "1950", "1960", question).outcome == "correct"
        assert judge(relaxed, "1950", "2100", question).outcome == "wrong"
    # A mark or a unit makes an amount of any number.
    for gold in ("1,950", "1950.5", "1950 m", "$1950"):
        assert judge(relaxed, gold, gold.replace("5", "6", 1), "When?").outcome == "correct"


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    "piece", ["(", ",", "1,", "a-", "- ", "a ", "word ", "!", "[", "1,000", "((ab ab", "\u202eאב", "\x00", "{", "½"]
)
def test_no_text_raises_or_takes_long(rule, piece):
    text = piece * (100_000 // len(piece))
    for gold in ("paris", "12", "[1, 2]", "-5 cm", f"gold {text[:3000]}"):
        assert judge(rule, gold, text).outcome in ("wrong", "unparsed")
