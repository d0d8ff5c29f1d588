"""Shards: records by number and columns in order, the same as the artifact's own, and damage is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from mixpref.errors import MixprefError
from mixpref.records import Problem
from mixpref.reporting.shards import Shards, in_parallel
from mixpref.store import Artifact
from tests.reporting.conftest import make_problem


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact[Problem]:
    """Ten problems in shards of three, one of the shards empty."""
    made = Artifact(tmp_path / "problems", Problem)
    problems = [make_problem(number, choices=("a", "b"), answer="a") for number in range(10)]
    for key, start, end in (("00000", 0, 3), ("00001", 3, 3), ("00002", 3, 6), ("00003", 6, 9), ("00004", 9, 10)):
        made.append(key, problems[start:end])
    return made


def test_the_records_are_those_of_the_artifact(artifact: Artifact[Problem]) -> None:
    shards, read = Shards(artifact), artifact.read()
    assert len(shards) == len(read) == 10
    assert shards.ends == [3, 3, 6, 9, 10]
    assert shards.at(range(10)) == dict(enumerate(read))
    assert shards.at([7, 0, 7]) == {7: read[7], 0: read[0]}
    assert shards.at([]) == {}
    assert list(shards.rows("id", "family")) == [(each.id, each.family) for each in read]
    with pytest.raises(IndexError):
        shards.at([10])


def test_shards_come_in_the_order_of_their_keys(tmp_path: Path) -> None:
    artifact = Artifact(tmp_path / "problems", Problem)
    # As file names they stand the other way round: "." comes after "-".
    for number, key in enumerate(("a", "a-1")):
        artifact.append(key, [make_problem(number)])
    assert [each for (each,) in Shards(artifact).rows("id")] == [each.id for each in artifact.read()]


def test_what_comes_later_is_not_seen(artifact: Artifact[Problem]) -> None:
    shards = Shards(artifact)
    artifact.append("00001", [make_problem(50)])
    artifact.append("00005", [make_problem(51)])
    assert len(shards) == 10
    assert len(Shards(artifact)) == 12


def test_an_artifact_that_is_not_there_is_empty(tmp_path: Path) -> None:
    shards = Shards(Artifact(tmp_path / "nothing", Problem))
    assert (len(shards), list(shards.rows("id")), list(shards.tables("id"))) == (0, [], [])


def test_a_field_of_a_later_version_has_its_default(artifact: Artifact[Problem]) -> None:
    from pyarrow import parquet

    for file in artifact.path.glob("*.parquet"):
        parquet.write_table(parquet.read_table(file).drop_columns(["facts"]), file)
    assert Shards(artifact).at([3])[3].facts == ""
    with pytest.raises(MixprefError, match=r"part-00000\.parquet cannot be read.*facts"):
        list(Shards(artifact).rows("facts"))


def test_a_record_without_what_it_needs_is_told(artifact: Artifact[Problem]) -> None:
    from pyarrow import parquet

    file = artifact.path / "part-00000.parquet"
    parquet.write_table(parquet.read_table(file).drop_columns(["question"]), file)
    with pytest.raises(MixprefError, match=r"part-00000\.parquet cannot be read.*question"):
        Shards(artifact).at([0])


def test_a_damaged_shard_is_named(artifact: Artifact[Problem]) -> None:
    shards = Shards(artifact)
    file = shards.files[2]
    file.write_bytes(file.read_bytes()[:100])
    assert shards.at([0])[0] == next(iter(artifact))
    for read in (lambda: shards.at([5]), lambda: list(shards.rows("id")), lambda: Shards(artifact)):
        with pytest.raises(MixprefError, match=rf"{file.name} cannot be read .* delete .*problems"):
            read()


def test_a_shard_that_went_meanwhile_is_named(artifact: Artifact[Problem]) -> None:
    shards = Shards(artifact)
    shards.files[4].unlink()
    with pytest.raises(MixprefError, match=r"part-00004\.parquet cannot be read .* try again"):
        shards.at([9])


def test_work_in_parallel_keeps_its_order_and_is_not_far_ahead() -> None:
    begun = []

    def work(number: int) -> int:
        begun.append(number)
        return number

    results = in_parallel(work, iter(range(1000)))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    assert len(begun) < 100
    assert list(results) == list(range(3, 1000))
    assert list(in_parallel(work, [])) == []


def test_an_error_of_the_work_comes_through() -> None:
    with pytest.raises(ZeroDivisionError):
        list(in_parallel(lambda number: 1 // number, [2, 1, 0]))
