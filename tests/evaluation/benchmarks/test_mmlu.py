"""MMLU: the hub's parquet file, a folder for each subject, JSON lines, and answers as places or letters."""

import pyarrow as pa
import pytest

from mixpref.errors import MixprefError
from mixpref.evaluation.benchmarks import benchmark
from mixpref.verifying import verify

from .written import failing, faults, lines, parquet

CHOICES = ["a wall", "a well", "a wheel", "a whale"]


def made(answer, subject="marine_biology", choices=CHOICES, question="Which one swims?"):
    return {"question": question, "subject": subject, "choices": choices, "answer": answer}


def rows():
    return [
        made(3),
        made(0, "astronomy", ["2", "3", "4", "5"]),
        made(4),
        made(None),
        made(-1),
        made(1, question=""),
        made(2),
    ]


BAD = {
    "2": "its answer 4 is none of its choices A, B, C, D",
    "3": "its answer None is none of its choices A, B, C, D",
    "4": "its answer -1 is none of its choices A, B, C, D",
    "5": "its question is '', and no text",
}


def load(where):
    return list(benchmark("mmlu").load(where))


@pytest.mark.parametrize("form", ["all/test-00000-of-00001.parquet", "test-00000-of-00001.parquet", "test.jsonl"])
def test_rows_of_all_forms(form, tmp_path):
    if form.endswith("parquet"):
        parquet(tmp_path / form, rows(), answer=pa.int64())
    else:
        lines(tmp_path / form, rows())
    found = load(tmp_path)
    assert [item.key for _, item in found] == [str(number) for number in range(7)]
    assert faults(found) == BAD
    assert failing(found) == []
    assert [problem.answer for problem, _ in found if problem] == [("D",), ("A",), ("C",)]
    assert [item.groups for _, item in found[:3]] == [
        ("subject: marine_biology",),
        ("subject: astronomy",),
        ("subject: marine_biology",),
    ]
    assert found[1][0].family == "astronomy"
    assert all(problem.images == () and problem.rule == "choice" for problem, _ in found if problem)


def test_all_subjects_together_go_before_folders_of_single_ones(tmp_path):
    parquet(tmp_path / "all" / "test-00000-of-00001.parquet", [made(3)])
    parquet(tmp_path / "astronomy" / "test-00000-of-00001.parquet", [made(3)] * 2)
    assert len(load(tmp_path)) == 1


def test_letters_are_answers_too(tmp_path):
    lines(tmp_path / "test.jsonl", [made("D"), made("d "), made("E"), made("a whale"), made(True)])
    found = load(tmp_path)
    assert [problem.answer for problem, _ in found[:2]] == [("D",), ("D",)]
    assert set(faults(found)) == {"2", "3", "4"}
    assert found[0][1].problem_id == found[1][1].problem_id
    assert verify(found[0][0], "D", "direct").outcome == "correct"
    assert verify(found[0][0], "A", "direct").outcome == "wrong"


@pytest.mark.parametrize("form", ["{}/test-00000-of-00001.parquet", "{}.jsonl"])
def test_a_file_names_the_subject_where_its_rows_do_not(form, tmp_path):
    for subject in ("law", "logic"):
        bare = [{name: value for name, value in made(3).items() if name != "subject"}] * 2
        (lines if form.endswith("jsonl") else parquet)(tmp_path / form.format(subject), bare)
    found = load(tmp_path)
    assert [(item.key, item.groups) for _, item in found] == [
        ("law-0", ("subject: law",)),
        ("law-1", ("subject: law",)),
        ("logic-0", ("subject: logic",)),
        ("logic-1", ("subject: logic",)),
    ]


def test_a_subject_in_several_files_is_counted_on(tmp_path):
    for part in (0, 1):
        parquet(tmp_path / "all" / f"test-0000{part}-of-00002.parquet", [made(3)] * 2)
    assert [item.key for _, item in load(tmp_path)] == ["0", "1", "2", "3"]


def test_choices_that_are_no_list_of_texts(tmp_path):
    lines(
        tmp_path / "test.jsonl", [made(0, choices="A. a wall"), made(0, choices=[None, "b"]), made(1, choices=[3, 4])]
    )
    found = load(tmp_path)
    assert faults(found) == {
        "0": "its choices are 'A. a wall', and no list of texts",
        "1": "its choices are [None, 'b'], and no list of texts",
    }
    assert found[2][0].choices == ("3", "4")


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(MixprefError, match=r"holds no all/test-\*.parquet or .* or test.jsonl"):
        load(tmp_path)
