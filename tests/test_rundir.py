"""Run directories: one recipe each, one process at a time, and models that are where the recipe says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mixpref import recipe
from mixpref.errors import MixprefError
from mixpref.recipe import Recipe, SamplingRecipe, TrainingRecipe
from mixpref.rundir import Run, resolve_model

ONE = Recipe(name="r")
OTHER = Recipe(name="r", seed=4, training=TrainingRecipe(beta=0.2))


def make(path: Path, file: str = "pairs/part-00000.parquet") -> None:
    (path / file).parent.mkdir(parents=True, exist_ok=True)
    (path / file).write_text("made")


def test_the_recipe_is_kept_with_all_its_settings(tmp_path: Path) -> None:
    with Run.open(tmp_path / "deep" / "run", ONE) as run:
        assert recipe.load(run.path / "recipe.yaml") == ONE
    with Run.open(tmp_path / "deep" / "run", ONE) as again:
        assert again.recipe == ONE


def test_another_recipe_is_refused_with_the_difference(tmp_path: Path) -> None:
    with Run.open(tmp_path, ONE):
        make(tmp_path)
    with pytest.raises(MixprefError) as raised:
        Run.open(tmp_path, OTHER)
    assert "\n  seed: 0 -> 4\n  training.beta: 0.1 -> 0.2" in str(raised.value)
    assert "--output" in str(raised.value)
    assert (tmp_path / "pairs" / "part-00000.parquet").exists()
    assert recipe.load(tmp_path / "recipe.yaml") == ONE


def test_where_nothing_was_made_the_recipe_may_change(tmp_path: Path) -> None:
    Run.open(tmp_path, ONE).close()
    with Run.open(tmp_path, OTHER):
        assert recipe.load(tmp_path / "recipe.yaml") == OTHER


def test_overwrite_removes_what_was_made_and_nothing_else(tmp_path: Path) -> None:
    with Run.open(tmp_path, ONE):
        for file in ("pairs/part-0.parquet", "model/config.json", "scores/base.json", "report.html", "notes/mine.txt"):
            make(tmp_path, file)
    with Run.open(tmp_path, OTHER, overwrite=True):
        assert recipe.load(tmp_path / "recipe.yaml") == OTHER
        assert sorted(each.name for each in tmp_path.iterdir()) == [".lock", "notes", "recipe.yaml"]


def test_overwrite_keeps_the_work_of_the_same_recipe(tmp_path: Path) -> None:
    with Run.open(tmp_path, ONE):
        make(tmp_path)
    with Run.open(tmp_path, ONE, overwrite=True):
        assert (tmp_path / "pairs" / "part-00000.parquet").exists()


def test_a_damaged_recipe_is_refused(tmp_path: Path) -> None:
    with Run.open(tmp_path, ONE):
        make(tmp_path)
    (tmp_path / "recipe.yaml").write_text("name: [")
    with pytest.raises(MixprefError, match="cannot be read"):
        Run.open(tmp_path, ONE)


def test_a_directory_of_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(MixprefError, match="not empty and holds no run"):
        Run.open(tmp_path, ONE, overwrite=True)
    with pytest.raises(MixprefError, match="is a file"):
        Run.open(tmp_path / "thesis.txt", ONE)
    assert [each.name for each in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_stage_that_needs_a_run_makes_none(tmp_path: Path) -> None:
    with pytest.raises(MixprefError, match="there is no run"):
        Run.open(tmp_path / "run", ONE, new=False)
    assert not (tmp_path / "run").exists()


def test_a_second_process_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom mixpref.recipe import Recipe\nfrom mixpref.rundir import Run\n"
        "run = Run.open(sys.argv[1], Recipe(name='r'))\nprint('open', flush=True)\nsys.stdin.read()\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout
    assert other.stdout.readline() == "open\n"
    with pytest.raises(MixprefError, match=f"process {other.pid} is working in"):
        Run.open(tmp_path, ONE)
    # A reader of an unfinished run disturbs nobody.
    Run.open(tmp_path, ONE, exclusive=False).close()
    other.kill()
    other.wait()
    Run.open(tmp_path, ONE).close()


def test_one_rank_of_a_distributed_run_holds_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Run.open(tmp_path, ONE):
        monkeypatch.setenv("RANK", "1")
        Run.open(tmp_path, ONE).close()


def test_models_by_role(tmp_path: Path) -> None:
    base = tmp_path / "base"
    make(base, "config.json")
    with Run.open(tmp_path / "run", Recipe(name="r", model=str(base))) as run:
        assert run.model_dir("base") == base
        assert run.model_dir("mpo") == run.path / "model"
        assert run.model_dir("sft") == run.path / "baselines" / "sft"


def test_a_model_is_a_directory_or_a_hub_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "models" / "mine", "config.json")
    os.mkdir("empty")
    assert resolve_model("models/mine") == "models/mine"
    assert resolve_model("owner/name") == "owner/name"
    for missing in ("models/other", "/nowhere/model", "./model", "model", "a/b/c", "~/nothing-of-this-name"):
        with pytest.raises(MixprefError, match="there is no model directory"):
            resolve_model(missing)
    with pytest.raises(MixprefError, match="without a config"):
        resolve_model("empty")


def test_the_embedded_model_is_found_or_its_making_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mixpref.rundir.__file__", str(tmp_path / "rundir.py"))
    with pytest.raises(MixprefError, match=r"mixpref\.world\.build"):
        resolve_model("embedded")
    make(tmp_path, "world/model/config.json")
    assert resolve_model("embedded") == str(tmp_path / "world" / "model")


def test_a_run_goes_on_elsewhere(tmp_path: Path) -> None:
    there = Recipe(name="r", sampling=SamplingRecipe(engine="server", servers=("http://one/v1",), workers=1))
    here = Recipe(name="r", sampling=SamplingRecipe(engine="server", servers=("http://two/v1",), concurrency=8))
    with Run.open(tmp_path, there):
        make(tmp_path)
    with Run.open(tmp_path, here):
        assert (tmp_path / "pairs" / "part-00000.parquet").exists()
        assert recipe.load(tmp_path / "recipe.yaml") == here
    with pytest.raises(MixprefError) as raised:
        Run.open(tmp_path, Recipe(name="r", sampling=SamplingRecipe(engine="server", style="zh")))
    assert "sampling.style" in str(raised.value)
    assert "servers" not in str(raised.value)
