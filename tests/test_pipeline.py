"""The whole loop: the order of the stages, what is skipped, and that a killed run ends as if it had not been."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import pytest
from scripted import ScriptedEngine
from tiny_model import save_tiny_model

from mixpref import pipeline
from mixpref.cli import main
from mixpref.errors import MixprefError
from mixpref.recipe import PairingRecipe, Recipe, TrainingRecipe
from mixpref.rundir import Run
from mixpref.sampling.stage import sample

HERE = Path(__file__).parent
FUNCTIONS = {
    "problems": "mixpref.sources.stage.load_problems",
    "sample": "mixpref.sampling.stage.sample",
    "verify": "mixpref.verifying.stage.verify_responses",
    "continue": "mixpref.sampling.continuing.continue_blindly",
    "pair": "mixpref.pairing.stage.make_pairs",
    "train": "mixpref.training.stage.train",
    "evaluate": "mixpref.evaluation.stage.evaluate",
    "report": "mixpref.reporting.stage.report",
}


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("tiny") / "model")


def recipe_file(folder: Path, model: Path) -> Path:
    settings = {
        "name": "tiny",
        "model": str(model),
        "problems": {"source": "world", "train": 12, "held_out": 4},
        "sampling": {"samples": 4, "batch_size": 2},
        "training": {"batch_size": 4, "micro_batch_size": 2, "save_steps": 1, "epochs": 2, "learning_rate": 1e-3},
        "evaluation": {"max_new_tokens": 4, "batch_size": 2},
    }
    file = folder / "tiny.yaml"
    file.write_text(json.dumps(settings))
    return file


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Mock:
    """All stages replaced by one that finishes its artifact and notes that it was called."""
    notes = Mock()

    def replaced(stage: str) -> object:
        def function(run: Run, **arguments: object) -> None:
            getattr(notes, stage)(**arguments)
            for artifact in {
                "problems": (run.problems("train"), run.problems("held_out")),
                "sample": (run.responses,),
                "verify": (run.verdicts,),
                "continue": (run.continuations,),
                "pair": (run.pairs,),
            }.get(stage, ()):
                artifact.append("0", [])
                artifact.finish({}, {})

        return function

    for stage, name in FUNCTIONS.items():
        monkeypatch.setattr(name, replaced(stage))
    return notes


def names(called: Mock) -> list[str]:
    return [each[0] for each in called.method_calls]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.json").write_text("{}")
    return Run.open(tmp_path / "run", Recipe(name="r", model=str(tmp_path / "m")))


def test_the_stages_run_in_their_order(called: Mock, run: Run) -> None:
    pipeline.run_all(run)
    assert list(FUNCTIONS) == list(pipeline.STAGES)
    # Only dropout-ntp pairs need continuations.
    assert names(called) == [stage for stage in FUNCTIONS if stage != "continue"]
    called.train.assert_called_once_with(role="mpo")
    called.evaluate.assert_called_once_with(roles=("base", "mpo"))


def test_dropout_pairs_need_continuations(called: Mock, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.json").write_text("{}")
    recipe = Recipe(name="r", model=str(tmp_path / "m"), pairing=PairingRecipe(kinds=("dropout-ntp",)))
    run = Run.open(tmp_path / "run", recipe)
    for stage in ("problems", "sample", "verify"):
        pipeline.run_stage(run, stage)
    with pytest.raises(MixprefError, match="run `mixpref continue RECIPE"):
        pipeline.run_stage(run, "pair")
    pipeline.run_all(run)
    assert names(called) == list(FUNCTIONS)


def test_pairs_from_elsewhere_need_no_sampling(called: Mock, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.json").write_text("{}")
    recipe = Recipe(name="r", model=str(tmp_path / "m"), training=TrainingRecipe(pairs="meta.json"))
    pipeline.run_all(Run.open(tmp_path / "run", recipe))
    assert names(called) == ["problems", "train", "evaluate", "report"]


def test_continuing_without_dropout_pairs_is_told(called: Mock, run: Run) -> None:
    with pytest.raises(MixprefError, match=r"add dropout-ntp to pairing.kinds"):
        pipeline.run_stage(run, "continue")


def test_baselines_are_trained_and_evaluated_only_for_a_comparison(called: Mock, run: Run) -> None:
    pipeline.run_all(run, compare=True)
    assert [each.kwargs["role"] for each in called.train.call_args_list] == ["sft", "dpo", "mpo"]
    called.evaluate.assert_called_once_with(roles=("base", "sft", "dpo", "mpo"))


def test_finished_stages_are_skipped_and_said_to_be(called: Mock, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    pipeline.run_all(run)
    called.reset_mock()
    capsys.readouterr()
    pipeline.run_all(run)
    assert names(called) == ["train", "evaluate", "report"]
    said = capsys.readouterr().err.splitlines()
    assert said == [f"{stage}: finished before, skipped" for stage in ("problems", "sample", "verify", "pair")]


@pytest.mark.parametrize(("stage", "before"), [("verify", "sample"), ("pair", "verify"), ("train", "pair")])
def test_a_stage_names_the_command_that_must_come_first(called: Mock, run: Run, stage: str, before: str) -> None:
    with pytest.raises(MixprefError, match=f"run `mixpref {before} RECIPE --output {run.path}` first"):
        pipeline.run_stage(run, stage, roles=("mpo",))
    assert names(called) == []


def test_an_unknown_stage_is_a_defect(run: Run) -> None:
    with pytest.raises(ValueError, match="there is no stage 'bake'"):
        pipeline.run_stage(run, "bake")


def test_the_whole_loop_on_a_tiny_model(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("mixpref.sampling.stage.sample", partial(sample, engine_factory=ScriptedEngine))
    out = tmp_path / "out"
    assert main(["run", str(recipe_file(tmp_path, model)), "--output", str(out)]) == 0
    shown = capsys.readouterr().out.rstrip().splitlines()
    # The table is the last thing printed, its last row the trained model.
    assert shown[-1].split()[0] == "mpo"
    assert any(line.split()[:1] == ["base"] for line in shown)
    for role in ("base", "mpo"):
        scores = json.loads((out / "scores" / f"{role}.json").read_text())
        overall = [score for score in scores if score["benchmark"] == "world"]
        assert {score["style"] for score in overall} == {"direct", "cot"}
        assert all(score["n"] + score["errors"] == 4 for score in overall)
    assert (out / "report.html").exists()
    assert (out / "model" / "config.json").exists()
    with Run.open(out, Recipe.from_dict(json.loads(recipe_file(tmp_path, model).read_text()))) as run:
        problems, responses = run.problems("train").manifest["counts"], run.responses.manifest["counts"]
        verdicts, pairs = run.verdicts.manifest["counts"], run.pairs.manifest["counts"]
        assert problems["train"] == responses["problems"] == 12
        assert responses["responses"] == verdicts["responses"] == len(run.responses) == len(run.verdicts) == 48
        # Of four scripted samples two are right, one is wrong and one states no answer.
        assert (verdicts["correct"], verdicts["wrong"], verdicts["unparsed"]) == (24, 12, 12)
        assert pairs["pairs"] == {"correctness": 24, "format": 24}
        assert len(run.pairs) == 48


def started(recipe: Path, output: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(HERE / "killable.py"), str(recipe), str(output)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def killed_when(recipe: Path, output: Path, pattern: str, count: int) -> None:
    """Start the run, and kill it as soon as `count` files of the pattern are there."""
    process = started(recipe, output)
    while len(list(output.glob(pattern))) < count:
        assert process.poll() is None, f"ended before it could be killed: {process.communicate()}"
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.communicate()


def losses(output: Path) -> list[float]:
    steps = {}
    for line in (output / "model" / "training_log.jsonl").read_text().splitlines():
        entry = json.loads(line)
        if "loss" in entry:
            steps[entry["step"]] = entry["loss"]
    return [steps[step] for step in sorted(steps)]


@pytest.mark.slow
def test_a_run_killed_in_every_stage_ends_as_one_that_was_not(tmp_path: Path, model: Path) -> None:
    recipe = recipe_file(tmp_path, model)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    process = started(recipe, whole)
    _, said = process.communicate()
    assert process.returncode == 0, said
    killed_when(recipe, broken, "problems/*/part-*.parquet", 1)
    killed_when(recipe, broken, "responses/part-*.parquet", 3)
    killed_when(recipe, broken, "verdicts/part-*.parquet", 1)
    killed_when(recipe, broken, "pairs/part-*.parquet", 1)
    killed_when(recipe, broken, "**/checkpoint-*/trainer_state.json", 3)
    killed_when(recipe, broken, "scores/items/*/responses/part-*.parquet", 3)
    process = started(recipe, broken)
    _, said = process.communicate()
    assert process.returncode == 0, said
    for artifact in ("problems/train", "problems/held_out", "responses", "verdicts", "pairs"):
        files = sorted(file.name for file in (whole / artifact).iterdir())
        assert files == sorted(file.name for file in (broken / artifact).iterdir())
        for file in files:
            assert (whole / artifact / file).read_bytes() == (broken / artifact / file).read_bytes(), (artifact, file)
    assert len(losses(whole)) > 3
    assert losses(broken) == pytest.approx(losses(whole), rel=1e-5)
    for role in ("base", "mpo"):
        file = f"scores/{role}.json"
        assert json.loads((whole / file).read_text()) == json.loads((broken / file).read_text())
