"""Artifacts: what goes in comes out equal, equal records give equal bytes, and nothing torn is ever taken for done."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mixpref.errors import MixprefError
from mixpref.records import PreferencePair, Problem, Response, Verdict
from mixpref.store import Artifact, write_json

PROBLEMS = [
    Problem(question="two images", answer="3", images=(b"\x00\xff", b""), facts='{"a": 1}'),
    Problem(question="open, nothing known"),
    Problem(question="which?", choices=("a", "b"), answer=("A", "a"), rule="choice", family="größe"),
]
RESPONSE = Response(
    problem_id="p",
    sample=1,
    text="line\nline",
    tokens=2,
    finish="length",
    seed=2**63 - 1,
    style="en",
    sampler="s",
    logprob=-1.5,
)
PAIR = PreferencePair(
    problem_id="p",
    chosen="c",
    rejected="r",
    why="format",
    style="en",
    chosen_origin="",
    rejected_origin="",
    rejected_complete=False,
)


@pytest.mark.parametrize("records", [PROBLEMS, [RESPONSE], [Verdict(outcome="error", detail="d")], [PAIR]])
def test_records_come_back_equal(tmp_path: Path, records: list[Any]) -> None:
    artifact = Artifact(tmp_path / "a", type(records[0]))
    artifact.append("0", records)
    assert artifact.read() == records
    assert [type(value) for value in vars(artifact.read()[0]).values()] == [
        type(value) for value in vars(records[0]).values()
    ]


def test_equal_records_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        artifact = Artifact(tmp_path / name, Problem)
        artifact.append("00000", PROBLEMS)
        artifact.finish({"seed": 1}, {"all": 3})
    for file in ("part-00000.parquet", "manifest.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_shards_are_read_in_the_order_of_their_keys(tmp_path: Path) -> None:
    artifact = Artifact(tmp_path, Verdict)
    for key in ("00002", "00000", "00001"):
        artifact.append(key, [Verdict(outcome="wrong", answer=key)])
    assert [verdict.answer for verdict in artifact] == ["00000", "00001", "00002"]
    assert len(artifact) == 3


def test_a_unit_without_records_is_done(tmp_path: Path) -> None:
    artifact = Artifact(tmp_path, Verdict)
    artifact.append("00007", [])
    assert artifact.done() == {"00007"}
    assert artifact.read() == []
    assert len(artifact) == 0


def test_what_is_torn_is_made_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    artifact = Artifact(tmp_path, Problem)
    artifact.append("00000", PROBLEMS)
    artifact.append("00001", PROBLEMS)
    whole = (tmp_path / "part-00001.parquet").read_bytes()
    (tmp_path / "part-00001.parquet").write_bytes(whole[:-5])
    (tmp_path / "part-00002.parquet").write_bytes(b"")
    (tmp_path / "part-00003.parquet.tmp").write_bytes(whole)
    assert artifact.done() == {"00000"}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["part-00000.parquet"]
    said = capsys.readouterr().err
    assert said.count("made again") == 2
    assert "part-00001.parquet" in said


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    artifact = Artifact(tmp_path, Problem)
    artifact.append("00000", [Problem(question="q" * 100, images=(bytes(range(256)) * 40,))])
    shard = tmp_path / "part-00000.parquet"
    data = bytearray(shard.read_bytes())
    data[60] ^= 1
    shard.write_bytes(data)
    with pytest.raises(MixprefError, match=r"part-00000\.parquet is damaged"):
        artifact.read()


def test_records_of_another_shape_are_refused_not_removed(tmp_path: Path) -> None:
    Artifact(tmp_path, Verdict).append("00000", [Verdict(outcome="wrong")])
    with pytest.raises(MixprefError, match="no Response records"):
        Artifact(tmp_path, Response).read()
    with pytest.raises(MixprefError, match=r"columns that differ.*outcome"):
        Artifact(tmp_path, Response).done()
    assert len(Artifact(tmp_path, Verdict)) == 1


def test_a_failed_append_leaves_nothing_done(tmp_path: Path) -> None:
    artifact = Artifact(tmp_path, Verdict)
    with pytest.raises(TypeError, match="int"):
        artifact.append("00000", [Verdict(outcome="wrong", answer=3)])  # type: ignore[arg-type]
    assert artifact.done() == set()


@pytest.mark.parametrize("key", ["", "a/b", "..", "a.b", "a b"])
def test_a_key_is_no_path(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="key of a shard"):
        Artifact(tmp_path, Verdict).append(key, [])


def test_the_manifest_tells_what_made_the_records(tmp_path: Path) -> None:
    artifact = Artifact(tmp_path, Verdict)
    assert not artifact.finished
    with pytest.raises(MixprefError, match="not finished"):
        _ = artifact.manifest
    artifact.append("00000", [Verdict(outcome="wrong")] * 2)
    artifact.finish({"seed": 3}, {"wrong": 2}, model="m")
    assert artifact.finished
    manifest = artifact.manifest
    assert {key: manifest[key] for key in ("record", "settings", "counts", "records", "model")} == {
        "record": "Verdict",
        "settings": {"seed": 3},
        "counts": {"wrong": 2},
        "records": 2,
        "model": "m",
    }
    assert manifest["versions"]["python"].startswith("3.")
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(MixprefError, match="cannot be read"):
        _ = artifact.manifest


def test_discard_empties_the_artifact_and_spares_other_files(tmp_path: Path) -> None:
    artifact = Artifact(tmp_path, Verdict)
    artifact.append("00000", [Verdict(outcome="wrong")])
    artifact.finish({}, {})
    (tmp_path / "notes.txt").write_text("mine")
    artifact.discard()
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]
    assert not artifact.finished


def test_a_field_that_no_column_can_hold_is_refused(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Odd:
        settings: dict

    with pytest.raises(TypeError, match="settings"):
        Artifact(tmp_path, Odd).append("0", [Odd({})])


def test_nullable_tuples_and_scalars(tmp_path: Path) -> None:
    artifact = Artifact(tmp_path, Problem)
    artifact.append("0", [Problem(question="q", answer=()), Problem(question="q", answer=None)])
    assert [problem.answer for problem in artifact] == [(), None]
    assert [problem.rule for problem in artifact] == [None, None]


def test_a_killed_writer_leaves_only_whole_shards(tmp_path: Path) -> None:
    """A process appends without end and is killed; every shard that is there can be read."""
    program = (
        "import itertools, sys\n"
        "from pathlib import Path\n"
        "from mixpref.records import Verdict\n"
        "from mixpref.store import Artifact\n"
        "artifact = Artifact(Path(sys.argv[1]), Verdict)\n"
        "for index in itertools.count():\n"
        "    artifact.append(f'{index:05d}', [Verdict(outcome='wrong', answer=str(index) * 2000)] * 50)\n"
        "    print(index, flush=True)\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout
    for _ in range(5):
        writer.stdout.readline()
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    artifact = Artifact(tmp_path, Verdict)
    shards = {file.name for file in tmp_path.glob("part-*.parquet")}
    assert len(artifact.done()) == len(shards) >= 5
    assert len(artifact.read()) == 50 * len(shards)


def test_json_is_replaced_as_a_whole(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "a.json"
    write_json(file, [1])
    with pytest.raises(TypeError):
        write_json(file, [object()])
    assert json.loads(file.read_text()) == [1]
    assert [each.name for each in file.parent.iterdir()] == ["a.json"]


def test_records_by_number_and_by_column(tmp_path: Path) -> None:
    artifact = Artifact(tmp_path / "a", Problem)
    problems = [Problem(question=f"number {number}", answer=("1", "2"), images=(b"x",)) for number in range(10)]
    for start in (0, 4, 8):
        artifact.append(f"{start:05d}", problems[start : start + 4])
    assert artifact.at([3, 4, 9, 0]) == [problems[3], problems[4], problems[9], problems[0]]
    with pytest.raises(IndexError):
        artifact.at([10])
    assert list(artifact.columns("question", "answer")) == [(each.question, ["1", "2"]) for each in problems]
    artifact.append("00010", problems[:1])
    assert artifact.at([10]) == problems[:1]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_and_leaves_nothing_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    artifact = Artifact(tmp_path / "a", Problem)
    artifact.append("0", PROBLEMS)

    def full(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patched:
        patched.setattr("mixpref.store._to_disk", full)
        with pytest.raises(MixprefError, match="make room and give the same command again"):
            artifact.append("1", PROBLEMS)
        with pytest.raises(MixprefError, match="make room"):
            artifact.finish({}, {})
    assert sorted(file.name for file in artifact.path.iterdir()) == ["part-0.parquet"]
    artifact.append("1", PROBLEMS)
    assert artifact.read() == PROBLEMS * 2


def test_other_errors_of_the_disk_are_not_taken_for_a_full_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("mixpref.store._to_disk", broken)
    with pytest.raises(OSError, match="Input/output error"):
        Artifact(tmp_path / "a", Problem).append("0", PROBLEMS)
