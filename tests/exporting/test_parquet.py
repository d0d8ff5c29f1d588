"""Parquet: rows as they are, files of a bounded size, and pictures to `datasets`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pyarrow import parquet

from exporting.conftest import PAIRS, PROBLEMS, MakeRun, pair
from mixpref import prompts
from mixpref.exporting import parquet as form
from mixpref.exporting.stage import export


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [row for file in sorted(folder.glob("train-*.parquet")) for row in parquet.read_table(file).to_pylist()]


def test_rows(make_run: MakeRun, tmp_path: Path) -> None:
    export(make_run(), "parquet", tmp_path / "to")
    rows = rows_of(tmp_path / "to")
    problems = {problem.id: problem for problem in PROBLEMS}
    assert len(rows) == len(PAIRS)
    for row, made in zip(rows, PAIRS, strict=True):
        problem = problems[made.problem_id]
        assert row["question"] == problem.question
        [turn] = row["prompt"]
        parts = [{key: value for key, value in part.items() if value is not None} for part in turn["content"]]
        assert [{**turn, "content": parts}] == prompts.messages(problem, made.style)
        assert row["chosen"] == [{"role": "assistant", "content": made.chosen}]
        assert row["rejected"] == [{"role": "assistant", "content": made.rejected}]
        assert tuple(image["bytes"] for image in row["images"]) == problem.images
        assert row["answer"] == (None if problem.answer is None else list(problem.answer))
        for name in ("why", "style", "problem_id", "chosen_origin", "rejected_origin", "rejected_complete"):
            assert row[name] == getattr(made, name)


def test_files_and_what_is_in_memory_are_bounded(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(form, "SHARD", 20_000)
    monkeypatch.setattr(form, "GROUP", 2_000)
    made = [pair(PROBLEMS[0], chosen=f"{number}", rejected_origin=f"{number}") for number in range(300)]
    export(make_run(made), "parquet", tmp_path / "to")
    files = sorted((tmp_path / "to").glob("*.parquet"))
    assert [file.name for file in files] == [f"train-{number:05d}.parquet" for number in range(len(files))]
    assert len(files) > 2
    metadata = [parquet.read_metadata(file) for file in files]
    assert max(each.row_group(group).num_rows for each in metadata for group in range(each.num_row_groups)) < 30
    assert [row["chosen"][0]["content"] for row in rows_of(tmp_path / "to")] == [f"{number}" for number in range(300)]


@pytest.mark.slow
@pytest.mark.parametrize("way", ["folder", "files"])
def test_datasets_opens_it_with_pictures(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    datasets = pytest.importorskip("datasets", reason="datasets is not installed: pip install 'mixpref[peers]'")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    to = tmp_path / "to"
    export(make_run(), "parquet", to)
    cache = {"split": "train", "cache_dir": str(tmp_path / "cache")}
    if way == "folder":
        found = datasets.load_dataset(str(to), **cache)
    else:
        found = datasets.load_dataset("parquet", data_files=str(to / "train-*.parquet"), **cache)
    assert len(found) == len(PAIRS)
    assert found.features["images"] == datasets.List(datasets.Image())
    problems = {problem.id: problem for problem in PROBLEMS}
    for row, made in zip(found, PAIRS, strict=True):
        images = [Image.open(io.BytesIO(data)) for data in problems[made.problem_id].images]
        assert [image.tobytes() for image in row["images"]] == [image.tobytes() for image in images]
        assert row["chosen"] == [{"role": "assistant", "content": made.chosen}]
