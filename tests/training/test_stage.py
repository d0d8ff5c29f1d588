"""The stage, on a run of made-up pairs, killed by a real SIGKILL and started again."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from mixpref.errors import MixprefError
from mixpref.recipe import ProblemsRecipe, Recipe, TrainingRecipe
from mixpref.records import PreferencePair, Problem
from mixpref.rundir import Run
from mixpref.training.stage import train

from .conftest import picture


@pytest.fixture(scope="module")
def model_dir(processor, _made, tmp_path_factory):
    folder = tmp_path_factory.mktemp("base") / "model"
    _made.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture
def recipe(model_dir):
    training = TrainingRecipe(learning_rate=1e-2, batch_size=4, micro_batch_size=2, epochs=2, save_steps=2)
    return Recipe(name="tiny", model=str(model_dir), problems=ProblemsRecipe(train=5), training=training)


def fill(path: Path, recipe: Recipe) -> Run:
    """9 pairs of 5 problems; one of the pairs cannot be trained on."""
    run = Run.open(path, recipe)
    problems = [
        Problem(question=f"How many?{'?' * number}", answer=str(number), images=(picture(number),) * (number != 3))
        for number in range(5)
    ]
    pairs = [
        PreferencePair(
            problem_id=problem.id,
            chosen=f"There are {number}. Final answer: {number}",
            rejected=text,
            why="correctness",
            style="en",
            chosen_origin="",
            rejected_origin="",
            rejected_complete=not text.endswith("..."),
        )
        for number, problem in enumerate(problems)
        for text in (f"Final answer: {number + 1}", "I see many and many..." if number else "")[: 1 + (number < 4)]
    ]
    run.problems("train").append("00000", problems)
    run.problems("train").finish({}, {})
    run.pairs.append("00000", pairs)
    run.pairs.finish({}, {})
    return run


def log(run: Run, role: str = "mpo") -> list[dict]:
    return [json.loads(line) for line in (run.model_dir(role) / "training_log.jsonl").read_text().splitlines()]


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return AutoModelForImageTextToText.from_pretrained(folder).state_dict()


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from transformers import TrainerCallback
from mixpref import recipe
from mixpref.rundir import Run
from mixpref.training import stage, trainer

torch.set_num_threads(1)

class Kill(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == 3:
            os.kill(os.getpid(), signal.SIGKILL)

begin = trainer.MPOTrainer.train
trainer.MPOTrainer.train = lambda self, **more: (self.add_callback(Kill()), begin(self, **more))[1]
path = Path(sys.argv[1])
stage.train(Run.open(path, recipe.load(path / "recipe.yaml")))
"""


def test_killed_and_started_again_equals_uninterrupted(recipe, tmp_path, capsys):
    whole = fill(tmp_path / "whole", recipe)
    train(whole)
    killed = fill(tmp_path / "killed", recipe)
    killed.close()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", KILLED, str(killed.path)], env=environment, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert not (killed.model_dir("mpo") / "config.json").exists()
    assert [entry["step"] for entry in log(killed)] == [1, 2]

    capsys.readouterr()
    train(killed)
    assert "train mpo: goes on from step 2 of 4" in capsys.readouterr().err
    losses = [entry for entry in log(killed) if "loss" in entry]
    assert [entry["step"] for entry in losses] == [1, 2, 3, 4]
    for left, right in zip(losses, (entry for entry in log(whole) if "loss" in entry), strict=True):
        assert left == pytest.approx(right, rel=1e-6)
    after, expected = tensors(killed.model_dir("mpo")), tensors(whole.model_dir("mpo"))
    for name, tensor in expected.items():
        torch.testing.assert_close(after[name], tensor, rtol=1e-6, atol=1e-7)
    assert (killed.model_dir("mpo") / "manifest.json").read_text() == (
        whole.model_dir("mpo") / "manifest.json"
    ).read_text()


def test_the_model_is_saved_for_everyone(recipe, model_dir, tmp_path):
    run = fill(tmp_path / "run", recipe)
    train(run)
    folder = run.model_dir("mpo")
    before, after = tensors(model_dir), tensors(folder)
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert AutoProcessor.from_pretrained(folder).chat_template == AutoProcessor.from_pretrained(model_dir).chat_template
    assert not {"checkpoints", "saving", "training_args.bin"} & {file.name for file in folder.iterdir()}
    entry = log(run)[0]
    assert {
        "loss/dpo",
        "loss/bco",
        "loss/sft",
        "rewards/margins",
        "rewards/accuracies",
        "delta",
        "tokens",
    } <= entry.keys()


def test_counts_add_up(recipe, tmp_path, capsys):
    run = fill(tmp_path / "run", recipe)
    train(run)
    counts = json.loads((run.model_dir("mpo") / "manifest.json").read_text())["counts"]
    assert counts["pairs"] == {"all": 9, "trained on": 8, "rejected is empty": 1}
    assert counts["steps"] == 4
    assert counts["tokens"] == log(run)[-1].get("tokens", log(run)[-2].get("tokens"))
    assert "left out 1 of 9 pairs" in capsys.readouterr().err
    train(run)
    assert "train mpo: finished before, skipped" in capsys.readouterr().err


def test_baselines_have_the_same_pairs_and_other_weights(recipe, tmp_path):
    run = fill(tmp_path / "run", recipe)
    for role in ("mpo", "sft", "dpo"):
        train(run, role)
    first = {role: log(run, role)[0] for role in ("mpo", "sft", "dpo")}
    parts = [[entry[name] for name in ("loss/dpo", "loss/bco", "loss/sft")] for entry in first.values()]
    assert parts[0] == pytest.approx(parts[1])
    assert parts[0] == pytest.approx(parts[2])
    assert first["sft"]["loss"] == pytest.approx(first["sft"]["loss/sft"])
    assert first["dpo"]["loss"] == pytest.approx(first["dpo"]["loss/dpo"])
    assert {run.model_dir(role).relative_to(run.path).as_posix() for role in first} == {
        "model",
        "baselines/sft",
        "baselines/dpo",
    }
    with pytest.raises(ValueError, match="no role 'ppo'"):
        train(run, "ppo")


def test_killed_while_saving_the_model(recipe, tmp_path, monkeypatch):
    """All steps are done, the model is not there yet: it comes from the last checkpoint, without a step more."""
    whole = fill(tmp_path / "whole", recipe)
    train(whole)
    run = fill(tmp_path / "run", recipe)

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("mixpref.training.stage._save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(run)
    train(run)
    expected = tensors(whole.model_dir("mpo"))
    assert all(torch.equal(tensor, expected[name]) for name, tensor in tensors(run.model_dir("mpo")).items())
    manifests = [json.loads((each.model_dir("mpo") / "manifest.json").read_text()) for each in (whole, run)]
    assert manifests[0] == manifests[1]


def test_warm_up_may_last_all_steps(recipe, tmp_path):
    training = dataclasses.replace(recipe.training, warmup_ratio=1.0, lr_scheduler="linear")
    run = fill(tmp_path / "run", dataclasses.replace(recipe, training=training))
    train(run)
    rates = [entry["learning_rate"] for entry in log(run) if "learning_rate" in entry]
    assert rates == pytest.approx([0, 0.0025, 0.005, 0.0075])


def test_what_is_missing_is_said(recipe, tmp_path):
    run = Run.open(tmp_path / "run", recipe)
    with pytest.raises(MixprefError, match="run `mixpref pair` first"):
        train(run)
    (tmp_path / "no model").mkdir()
    (tmp_path / "no model" / "config.json").write_text("{}")
    run = fill(tmp_path / "other", dataclasses.replace(recipe, model=str(tmp_path / "no model")))
    with pytest.raises(MixprefError, match="cannot be loaded"):
        train(run)
