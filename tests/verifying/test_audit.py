import io
import json

import pytest
from rich.console import Console

from mixpref.errors import MixprefError
from mixpref.records import Problem, Response, Verdict
from mixpref.verifying.audit import gold_answers, labelled, show_confusion, show_gold_answers, show_sample

PROBLEMS = [
    Problem(question="7 + 5?", answer="12", source="a.jsonl:1"),
    Problem(question="Which?", answer="blue", choices=("red", "blue"), source="a.jsonl:2"),
    Problem(question="How many?", answer="a dozen or so", rule="number", source="a.jsonl:3"),
    Problem(question="Which?", answer=("gray", "grey"), source="a.jsonl:4"),
    Problem(question="Describe it.", source="a.jsonl:5"),
    Problem(question="Describe it.", answer="A cat.", rule="judge", source="a.jsonl:6"),
]


def printed(show, *arguments):
    console = Console(width=200, record=True, file=io.StringIO())
    show(*arguments[:1], *arguments[1:-1], console, *arguments[-1:])
    return console.export_text()


def test_gold_answers_go_through_their_own_rules():
    judged = list(gold_answers(PROBLEMS))
    # The open problem and the judge's have none; two accepted answers are two.
    assert [each.text for each in judged] == ["12", "blue", "a dozen or so", "gray", "grey"]
    assert [each.verdict.outcome for each in judged] == ["correct", "correct", "error", "correct", "correct"]
    text = printed(show_gold_answers, gold_answers(PROBLEMS), 10)
    assert "error: 'a dozen or so' of a.jsonl:3 (number: ValueError: the gold answer 'a dozen or so'" in text
    assert [line.split() for line in text.splitlines() if line.strip().startswith("│ number")] == [
        ["│", "number", "│", "1", "│", "0", "│", "0", "│", "1", "│"]
    ]


def test_no_more_failures_are_printed_than_asked_for():
    bad = [Problem(question=str(number), answer="many", rule="number") for number in range(5)]
    text = printed(show_gold_answers, gold_answers(bad), 2)
    assert text.count("error: 'many'") == 2
    assert "... and 3 more that fail" in text


def rows(*changes):
    row = {"question": "7 + 5?", "answer": "12", "response": "7 + 5 = 12.\nFinal answer: 12", "correct": True}
    return [row | change for change in changes]


def file_of(tmp_path, lines):
    file = tmp_path / "labels.jsonl"
    file.write_text("\n".join(each if isinstance(each, str) else json.dumps(each) for each in lines), encoding="utf-8")
    return file


def test_verdicts_are_compared_with_labels(tmp_path):
    file = file_of(
        tmp_path,
        rows(
            {},
            {"correct": False},
            {"response": "Final answer: 12", "style": "en"},
            {"response": "It is 13.\nFinal answer: 13", "correct": False},
            {"answer": ["B"], "choices": ["red", "blue"], "response": "\\boxed{blue}", "style": "any"},
        ),
    )
    judged = list(labelled(file))
    assert [each.verdict.outcome for each in judged] == ["correct", "correct", "unparsed", "wrong", "correct"]
    assert [each.label for each in judged] == [True, False, True, False, True]
    text = printed(show_confusion, labelled(file), 10)
    assert "3 of 4 clear verdicts agree with the labels; 1 are not clear" in text
    assert "labelled not right, correct: '7 + 5 = 12.\\nFinal answer: 12'" in text
    assert text.count("labelled ") == 2  # the table's head and one contradiction


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"labels.jsonl:2: no valid JSON"),
        ("[]", r"labels.jsonl:2: a labelled row needs question, answer, response, correct"),
        ('{"question": "?", "answer": "1", "correct": true}', r"there is no response"),
        (rows({"correct": "yes"})[0], r"correct is 'yes'; it must be true or false"),
    ],
)
def test_a_row_that_is_not_one_is_named(tmp_path, line, message):
    with pytest.raises(MixprefError, match=message):
        list(labelled(file_of(tmp_path, [*rows({}), line])))


def test_missing_labels_are_told(tmp_path):
    with pytest.raises(MixprefError, match="cannot be read"):
        list(labelled(tmp_path / "none.jsonl"))


def test_a_sample_shows_each_outcome_and_is_the_same_every_time():
    def response(sample):
        return Response(
            problem_id=PROBLEMS[0].id, sample=sample, text=f"Thought {sample}.\nFinal answer: {sample}", tokens=9,
            finish="stop", seed=0, style="en", sampler="test", logprob=0.0,
        )  # fmt: skip

    judged = [
        (response(n), Verdict(outcome=outcome, answer=str(n), rule="number", detail="why"))
        for n, outcome in enumerate(["correct", "wrong"] * 10)
    ]
    text = printed(show_sample, judged, PROBLEMS, 3)
    assert text.count("correct, rule number") == 3
    assert text.count("wrong, rule number") == 3
    assert text.count("question 7 + 5?") == 6
    assert printed(show_sample, judged[::-1], PROBLEMS, 3) == text


def test_labels_with_ends_of_lines_that_are_none_in_json(tmp_path):
    file = tmp_path / "labels.jsonl"
    row = {"question": "7 or\u20288?", "answer": "7", "response": "7", "correct": True}
    file.write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
    (judged,) = labelled(file)
    assert judged.problem.question == "7 or\u20288?"
