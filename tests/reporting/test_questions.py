"""The problems behind cases: what is searched of them, where they are found, and that nothing is left behind."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from mixpref.records import Problem
from mixpref.reporting.questions import Questions, blocks
from mixpref.store import Artifact
from tests.reporting.conftest import make_problem

PROBLEMS = (
    make_problem(1, "chart", choices=("an apple", "a pear"), answer="B"),
    make_problem(2, "table", answer=("twenty", "20")),
    replace(make_problem(3, "几何", answer=None), source="file.jsonl:7"),
    make_problem(4, "chart", question="100% of a_b?"),
)


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact[Problem]:
    """`PROBLEMS` in two shards."""
    made = Artifact(tmp_path / "problems", Problem)
    made.append("00000", PROBLEMS[:3])
    made.append("00001", PROBLEMS[3:])
    return made


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("HOW HIGH", [0, 1, 2]),
        ("a PEAR", [0]),
        ("twenty", [1]),
        ("20", [1]),
        ("chart", [0, 3]),
        ("何", [2]),
        ("file.jsonl:7", [2]),
        (PROBLEMS[2].id, [2]),
        ("100%", [3]),
        ("a_b", [3]),
        ("a.b", []),
        # A text that ends in one field and goes on in the next is no text.
        ("apple a pear", []),
    ],
)
def test_all_that_is_said_of_a_problem_is_searched(artifact: Artifact[Problem], text: str, found: list[int]) -> None:
    assert Questions(artifact).matching(text).nonzero()[0].tolist() == found


def test_problems_are_found_by_id(artifact: Artifact[Problem]) -> None:
    questions = Questions(artifact)
    assert [questions.number(each.id) for each in PROBLEMS] == [0, 1, 2, 3]
    assert questions.number("no such problem") is None
    assert questions.ids.to_pylist() == [each.id for each in PROBLEMS]
    assert questions.families.to_pylist() == [each.family for each in PROBLEMS]
    assert questions.problems.at([3]) == {3: PROBLEMS[3]}


def test_no_problems_are_none(tmp_path: Path) -> None:
    questions = Questions(Artifact(tmp_path / "nothing", Problem))
    assert questions.matching("x").tolist() == questions.families.to_pylist() == questions.ids.to_pylist() == []
    assert questions.number("x") is None


def test_nothing_is_left_behind(artifact: Artifact[Problem], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    before = {file: file.stat().st_mtime_ns for file in artifact.path.rglob("*")}
    questions = Questions(artifact)
    assert not list((tmp_path / "temporary").iterdir())
    assert questions.matching("how high").any()
    assert {file: file.stat().st_mtime_ns for file in artifact.path.rglob("*")} == before


def test_small_tables_are_searched_together() -> None:
    import pyarrow

    tables = [pyarrow.table({"n": [number, number]}) for number in range(5)]
    joined = list(blocks(iter(tables), rows=4))
    assert [each["n"].to_pylist() for each in joined] == [[0, 0, 1, 1], [2, 2, 3, 3], [4, 4]]
    assert {each["n"].num_chunks for each in joined} == {1}
    assert list(blocks([])) == []
