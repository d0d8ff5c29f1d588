"""Exports are written as a whole or not at all, and every pair is written or counted."""

from __future__ import annotations

import json
from pathlib import Path
from unittest.mock import Mock

import pytest

from exporting.conftest import PAIRS, PROBLEMS, MakeRun, pair, picture
from mixpref.errors import MixprefError
from mixpref.exporting.stage import FORMATS, export
from mixpref.records import Problem


def files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


@pytest.mark.parametrize("format", list(FORMATS))
def test_every_pair_is_written_or_counted(make_run: MakeRun, tmp_path: Path, format: str) -> None:
    unlucky = (
        Problem(question="<image><image>?", images=(picture(4),)),
        Problem(question="Which <video>?", images=(picture(4),)),
        Problem(question="Which?", images=(b"no picture",)),
    )
    bad = (
        *(pair(each) for each in unlucky),
        pair(PROBLEMS[0], chosen="See <image>."),
        pair(PROBLEMS[2], rejected="<audio>"),
    )
    run = make_run((*bad, *PAIRS), (*PROBLEMS, *unlucky))
    export(run, format, tmp_path / "to")
    manifest = json.loads((tmp_path / "to" / "manifest.json").read_text())
    assert manifest["export"] == format
    assert manifest["counts"] == {
        "pairs": {
            "all": 12,
            "written": 7,
            "image of an unknown format": 1,
            "more marks than images": 2,
            "responses hold an image mark": 2,
        },
        "kinds": {"correctness": 3, "dropout-ntp": 2, "format": 1, "vote": 1},
        "with a response cut at the token limit": 1,
    }
    assert not list(tmp_path.glob(".to.*"))


@pytest.mark.parametrize("format", list(FORMATS))
def test_equal_runs_give_equal_bytes(make_run: MakeRun, tmp_path: Path, format: str) -> None:
    for name in ("one", "two"):
        export(make_run(), format, tmp_path / name)
    assert files(tmp_path / "one") == files(tmp_path / "two")


@pytest.mark.parametrize("format", ["mmpr", "trl", "llamafactory"])
def test_an_image_is_written_once(make_run: MakeRun, tmp_path: Path, format: str) -> None:
    export(make_run(), format, tmp_path / "to")
    images = {data for name, data in files(tmp_path / "to").items() if name.startswith("images/")}
    assert images == {picture(1), picture(2), picture(3, "JPEG")}
    assert sorted(file.suffix for file in (tmp_path / "to" / "images").iterdir()) == [".jpg", ".png", ".png"]


@pytest.mark.parametrize("format", list(FORMATS))
def test_a_killed_export_leaves_nothing(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str
) -> None:
    run = make_run()
    with monkeypatch.context() as patch:
        patch.setattr("mixpref.exporting.stage.write_json", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            export(run, format, tmp_path / "to")
    assert not (tmp_path / "to").exists()
    assert not list(tmp_path.glob(".to.*"))
    # A process that was killed outright could not tidy up.
    (tmp_path / ".to.unfinished" / "images").mkdir(parents=True)
    (tmp_path / ".to.unfinished" / "half").write_text("half")
    export(run, format, tmp_path / "to")
    assert "half" not in files(tmp_path / "to")
    assert not list(tmp_path.glob(".to.*"))


def test_only_an_earlier_export_is_replaced_and_only_when_asked(make_run: MakeRun, tmp_path: Path) -> None:
    run, to = make_run(), tmp_path / "to"
    to.mkdir()
    export(run, "mmpr", to)
    before = files(to)
    with pytest.raises(MixprefError, match="--overwrite"):
        export(run, "trl", to)
    assert files(to) == before
    export(run, "trl", to, overwrite=True)
    assert "train.jsonl" in files(to)
    assert "meta.json" not in files(to)
    for text in (None, "{", "3", '{"record": "Problem"}'):
        other = tmp_path / "other"
        other.mkdir(exist_ok=True)
        (other / "precious").write_text("mine")
        if text is not None:
            (other / "manifest.json").write_text(text)
        with pytest.raises(MixprefError, match="holds no export"):
            export(run, "mmpr", other, overwrite=True)
        assert (other / "precious").read_text() == "mine"
    with pytest.raises(MixprefError, match="is a file"):
        export(run, "mmpr", other / "precious", overwrite=True)


def test_a_failed_export_keeps_the_earlier_one(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, to = make_run(), tmp_path / "to"
    export(run, "mmpr", to)
    before = files(to)
    monkeypatch.setattr("mixpref.exporting.items.ImageFolder._add", Mock(side_effect=OSError(28, "No space left")))
    with pytest.raises(MixprefError, match="the disk is full"):
        export(run, "mmpr", to, overwrite=True)
    assert files(to) == before


def test_what_cannot_be_exported_is_told(make_run: MakeRun, tmp_path: Path) -> None:
    to = tmp_path / "to"
    with pytest.raises(MixprefError, match="mmpr, trl, parquet, llamafactory"):
        export(make_run(), "csv", to)
    with pytest.raises(MixprefError, match="run `mixpref pair` first"):
        export(make_run(finished=False), "mmpr", to)
    with pytest.raises(MixprefError, match="is not in"):
        export(make_run([pair(Problem(question="another"))]), "mmpr", to)
    with pytest.raises(MixprefError, match=r"no pair that can be exported \(1 responses hold an image mark\)"):
        export(make_run([pair(PROBLEMS[0], chosen="<image>")]), "mmpr", to)
    with pytest.raises(MixprefError, match="it is empty"):
        export(make_run([]), "trl", to)
    assert not to.exists()


def test_problems_are_found_in_any_order_and_any_shard(make_run: MakeRun, tmp_path: Path) -> None:
    problems = [Problem(question=f"q{number}", images=(picture(number),)) for number in range(6)]
    run = make_run([], [])
    for shard in range(3):
        run.problems("train").append(f"{shard:05d}", problems[2 * shard : 2 * shard + 2])
    run.pairs.append("00000", [pair(problems[number]) for number in (5, 0, 3, 0, 4)])
    export(run, "trl", tmp_path / "to")
    rows = [json.loads(line) for line in (tmp_path / "to" / "train.jsonl").read_text().splitlines()]
    for row, number in zip(rows, (5, 0, 3, 0, 4), strict=True):
        assert row["prompt"][0]["content"][1]["text"].endswith(f"q{number}")
        assert (tmp_path / "to" / row["images"][0]).read_bytes() == picture(number)
