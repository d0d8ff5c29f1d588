"""GSM8K: both forms of its data and the number after the four marks."""

import pytest

from mixpref.errors import MixprefError
from mixpref.evaluation.benchmarks import benchmark
from mixpref.verifying import verify

from .written import failing, faults, lines, parquet


def rows():
    return [
        {"question": "Two boxes hold 9 pens each. How many pens?", "answer": "2 * 9 = <<2*9=18>>18 pens.\n#### 18"},
        {"question": "What do 3 such cars cost?", "answer": "#### no\n3 * 700 = <<3*700=2100>>2100\n#### 2,100"},
        {"question": "By how much is it colder?", "answer": "#### -5"},
        {"question": "How many?", "answer": "The answer is 18."},
        {"question": "How many?", "answer": "#### many"},
        {"question": "How many?", "answer": "As was said.\n####"},
        {"question": None, "answer": "#### 18"},
        {"question": "How many?", "answer": None},
    ]


def load(where):
    return list(benchmark("gsm8k").load(where))


@pytest.mark.parametrize(
    "form", ["main/test-00000-of-00001.parquet", "test.jsonl", "grade_school_math/data/test.jsonl"]
)
def test_rows_of_all_forms(form, tmp_path):
    (parquet if form.endswith("parquet") else lines)(tmp_path / form, rows())
    found = load(tmp_path)
    assert [item.key for _, item in found] == [str(number) for number in range(8)]
    assert faults(found) == {
        "3": "its answer has no ####",
        "4": "it cannot be judged: the gold answer 'many' is not a number",
        "5": "it cannot be judged: the gold answer '' is not a number",
        "6": "it has no question",
        "7": "it has no answer",
    }
    assert failing(found) == []
    assert [problem.answer for problem, _ in found[:3]] == [("18",), ("2,100",), ("-5",)]
    assert all(problem.images == () and problem.rule == "number" for problem, _ in found[:3])


def test_the_number_is_compared(tmp_path):
    lines(tmp_path / "test.jsonl", rows())
    problem = load(tmp_path)[1][0]
    assert [verify(problem, text, "direct").outcome for text in ("2100", "$2,100.00", "2101")] == [
        "correct",
        "correct",
        "wrong",
    ]


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(MixprefError, match=r"holds no main/test-\*.parquet or test.jsonl"):
        load(tmp_path)
