"""Loading problems into a run directory: counts that add up, and no half-loaded set taken for a whole one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest

from mixpref.errors import MixprefError
from mixpref.recipe import ProblemsRecipe, Recipe
from mixpref.rundir import Run
from mixpref.sources.stage import load_problems

Write = Callable[..., Path]


def open_run(output: Path, **problems: object) -> Run:
    settings = {"source": "jsonl", "held_out": 2, **problems}
    return Run.open(output, Recipe(name="r", problems=ProblemsRecipe(**settings)))  # type: ignore[arg-type]


def rows(count: int) -> list[dict[str, object]]:
    return [{"question": f"q{number}", "answer": number, "image": "0.png"} for number in range(count)]


def test_every_row_comes_out_once(write_rows: Write, tmp_path: Path) -> None:
    file = write_rows(*rows(70), {"question": "q1", "answer": 5, "image": "0.png"}, {"answer": 1}, b"{")
    with open_run(tmp_path / "run", path=str(file), train=65) as run:
        load_problems(run)
        counts = run.problems("train").manifest["counts"]
        assert counts == run.problems("held_out").manifest["counts"]
        assert counts == {
            "rows": 73,
            "train": 65,
            "held_out": 2,
            "unused": 3,
            "rejected": {"all": 3, "bad JSON": 1, "duplicate": 1, "no question": 1},
        }
        assert (len(run.problems("train")), len(run.problems("held_out"))) == (65, 2)
        rejected = [json.loads(line) for line in run.rejects_file.read_text().splitlines()]
        assert [(each["source_file"], each["line"], each["kind"]) for each in rejected] == [
            (str(file), 71, "duplicate"),
            (str(file), 72, "no question"),
            (str(file), 73, "bad JSON"),
        ]
        assert all(each["reason"] for each in rejected)


def test_the_same_run_has_the_same_bytes(write_rows: Write, tmp_path: Path) -> None:
    file = write_rows(*rows(10))
    for name in ("one", "two"):
        with open_run(tmp_path / name, path=str(file)) as run:
            load_problems(run)
    for split in ("train", "held_out"):
        for part in ("part-00000.parquet", "manifest.json"):
            one, two = ((tmp_path / name / "problems" / split / part).read_bytes() for name in ("one", "two"))
            assert one == two


def test_a_loading_that_was_cut_short_starts_anew(
    write_rows: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_rows(*rows(10))
    with open_run(tmp_path / "run", path=str(file)) as run:
        with monkeypatch.context() as patch:
            patch.setattr("mixpref.store.Artifact.finish", Mock(side_effect=KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                load_problems(run)
        assert len(run.problems("train")) == 8
        # Meanwhile the user has corrected the file.
        write_rows(*rows(8))
        load_problems(run)
        assert len(run.problems("train")) + len(run.problems("held_out")) == 8


def test_what_is_loaded_is_not_loaded_again(write_rows: Write, tmp_path: Path) -> None:
    file = write_rows(*rows(10))
    with open_run(tmp_path / "run", path=str(file)) as run:
        load_problems(run)
        os.unlink(file)
        load_problems(run)
        assert len(run.problems("train")) == 8


def test_a_refused_set_leaves_no_problems_behind(write_rows: Write, tmp_path: Path) -> None:
    with open_run(tmp_path / "run", path=str(write_rows(b"{"))) as run:
        with pytest.raises(MixprefError, match="no usable row"):
            load_problems(run)
        assert not (run.path / "problems").exists()


@pytest.mark.skipif(not os.environ.get("MIXPREF_TEST_DATA"), reason="MIXPREF_TEST_DATA names no folder of real data")
def test_real_puzzles_all_load(tmp_path: Path) -> None:
    file = Path(os.environ["MIXPREF_TEST_DATA"]) / "puzzlevqa" / "puzzles.jsonl"
    with open_run(tmp_path / "run", path=str(file), held_out=600) as run:
        load_problems(run)
        counts = run.problems("train").manifest["counts"]
        assert counts == {"rows": 2000, "train": 1400, "held_out": 600, "unused": 0, "rejected": {"all": 0}}
        families = {problem.family for problem in run.problems("held_out")}
        assert len(families) == 20
        assert all(problem.answer and problem.choices and problem.images for problem in run.problems("train"))
