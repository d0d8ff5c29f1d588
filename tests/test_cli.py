"""The command line: what it says to mistakes, and that single stages and settings reach the run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from importlib import import_module
from pathlib import Path

import pytest
from evaluation.made import Counting, made
from scripted import ScriptedEngine

from mixpref import recipe
from mixpref.cli import main
from mixpref.sampling.stage import sample


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with a directory that looks like a model; answers come from the scripted engine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mixpref.sampling.stage.sample", partial(sample, engine_factory=ScriptedEngine))
    (tmp_path / "some-model").mkdir()
    (tmp_path / "some-model" / "config.json").write_text("{}")
    return tmp_path


def own_recipe(rows: int = 8, **sections: object) -> str:
    lines = (json.dumps({"question": f"What is {n} + 1?", "answer": n + 1}) + "\n" for n in range(rows))
    Path("rows.jsonl").write_text("".join(lines))
    settings = {"name": "mine", "model": "some-model", "problems": {"source": "jsonl", "path": "rows.jsonl"}}
    settings["problems"]["held_out"] = 3  # type: ignore[index]
    Path("mine.yaml").write_text(json.dumps(settings | sections))
    return "mine.yaml"


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What is said of a mistake, without the program's name; checks the form that all mistakes have."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    last = err.split("mixpref: ")[-1]
    assert err.endswith(f"mixpref: {last}")
    return last.removesuffix("\n")


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == main(["--help"]) == main(["-h"]) == 0
    out = capsys.readouterr().out
    for command in ("demo", "run", "sample", "verify", "pair", "train", "evaluate", "report"):
        assert out.count(f"\n  {command} ") == 3
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("mixpref ")


def test_help_of_a_command_shows_the_recipes_own_values(capsys: pytest.CaptureFixture[str]) -> None:
    file = own_recipe(sampling={"samples": 77})
    for arguments in (["run", "--help"], ["run", file, "--help"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 0
    assert "(default: 77)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["trian", "x"], "there is no command 'trian'; did you mean train?"),
        (["run"], "needs a recipe right behind it: `mixpref run RECIPE"),
        (["run", "--seed", "3"], "needs a recipe right behind it"),
        (["run", "none.yaml"], "no recipe none.yaml"),
        (["run", "own-data"], "problems.path: data/problems.jsonl does not exist"),
        (["verify", "own-data"], "there is no run in runs/own-data"),
        (["report", "own-data"], "there is no run in runs/own-data"),
    ],
)
def test_mistakes_end_with_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str) -> None:
    # The recipe's own model may not be built yet.
    arguments += ["--model", "some-model"] if "own-data" in arguments else []
    said = refused(capsys, *arguments)
    assert expected in said
    assert "\n" not in said


def test_unknown_and_wrong_keys_are_told_together(capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, "run", own_recipe(sampling={"sample": 3, "top_p": 7}, trainin={}))
    assert said.startswith("3 mistakes in mine.yaml:")
    assert "sampling.sample: there is no such key; did you mean sampling.samples?" in said
    assert "sampling.top_p: 7 must be" in said
    assert "trainin: there is no such key; did you mean training?" in said


def test_wrong_flags_end_with_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    file = own_recipe()
    assert "training.beta: -1.0 must be greater than 0" in refused(capsys, "run", file, "--training.beta", "-1")
    for flags in (["--training.betta", "1"], ["--seed", "x"], ["--sampling.style", "french"], ["stray"]):
        with pytest.raises(SystemExit) as ended:
            main(["run", file, *flags])
        assert ended.value.code == 2
    assert "--training.beta" in capsys.readouterr().err
    assert not Path("runs").exists()


def test_a_missing_model_is_told_before_any_work(capsys: pytest.CaptureFixture[str]) -> None:
    Path("models").mkdir()
    said = refused(capsys, "run", own_recipe(), "--model", "models/none")
    assert said.startswith("model: there is no model directory models/none; name a directory")
    said = refused(capsys, "run", own_recipe(), "--model", "./none")
    assert said.startswith("model: there is no model directory ./none; name a directory")
    assert "\n" not in said
    assert not Path("runs/mine/problems").exists()


def test_an_empty_problem_file(capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, "run", own_recipe(rows=0))
    assert said.startswith("rows.jsonl is empty;")
    assert "\n" not in said


def test_a_set_without_a_usable_pair(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    knows_nothing = partial(ScriptedEngine, knows=False)
    monkeypatch.setattr("mixpref.sampling.stage.sample", partial(sample, engine_factory=knows_nothing))
    said = refused(capsys, "run", own_recipe())
    assert "no preference pair can be built of 5 problems" in said
    assert "\n" not in said


def test_gold_answers_that_their_rule_cannot_read(capsys: pytest.CaptureFixture[str]) -> None:
    file = own_recipe()
    lines = (json.dumps({"question": f"q{n}", "answer": "blue", "rule": "number"}) + "\n" for n in range(8))
    Path("rows.jsonl").write_text("".join(lines))
    said = refused(capsys, "run", file)
    assert said.startswith("8 of 8 gold answers are not accepted by their own rule; the first, 'blue' of rows.jsonl:")
    # Corrected, the same command goes on.
    Path("rows.jsonl").write_text("".join(json.dumps({"question": f"q{n}", "answer": n}) + "\n" for n in range(8)))
    assert main(["sample", file]) == 0


def test_an_audit_shows_what_the_verifier_would_do(capsys: pytest.CaptureFixture[str]) -> None:
    file = own_recipe()
    labels = {"question": "7 + 5?", "answer": "12", "response": "Answer: 12", "correct": True}
    Path("labels.jsonl").write_text(json.dumps(labels) + "\n")
    assert main(["verify", file, "--audit", "--labels", "labels.jsonl"]) == 0
    said = capsys.readouterr().out
    assert "number │       8 │" in said
    assert "1 of 1 clear verdicts agree with the labels" in said
    assert "rule number" not in said
    # Nothing was judged by it; with verdicts there, some are shown.
    for stage in ("sample", "verify"):
        assert main([stage, file]) == 0
    capsys.readouterr()
    assert main(["verify", file, "--audit"]) == 0
    said = capsys.readouterr().out
    for outcome in ("correct", "wrong", "unparsed"):
        assert said.count(f"{outcome}, rule number") == 2


def test_an_audit_of_bad_gold_answers_shows_them_and_they_are_read_again(capsys: pytest.CaptureFixture[str]) -> None:
    file = own_recipe()
    good = Path("rows.jsonl").read_text()
    lines = (json.dumps({"question": f"q{n}", "answer": "blue", "rule": "number"}) + "\n" for n in range(8))
    Path("rows.jsonl").write_text("".join(lines))
    assert main(["verify", file, "--audit"]) == 0
    assert "error: 'blue' of rows.jsonl:" in capsys.readouterr().out
    Path("rows.jsonl").write_text(good)
    assert main(["sample", file]) == 0


def test_stages_alone_name_the_stage_before(capsys: pytest.CaptureFixture[str]) -> None:
    file = own_recipe()
    assert main(["sample", file, "--output", "out"]) == 0
    capsys.readouterr()
    assert "run `mixpref verify RECIPE --output out` first" in refused(capsys, "pair", file, "--output", "out")
    assert "run `mixpref pair RECIPE --output out` first" in refused(capsys, "train", file, "--output", "out")
    for stage in ("verify", "pair"):
        assert main([stage, file, "--output", "out"]) == 0
    capsys.readouterr()
    assert main(["pair", file, "--output", "out"]) == 0
    assert capsys.readouterr() == ("", "pair: finished before, skipped\n")
    assert "no model in out/model; run `mixpref train`" in refused(capsys, "evaluate", file, "--output", "out")


def test_a_run_directory_stands_for_its_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", own_recipe(), "--output", "out", "--sampling.samples", "4"]) == 0
    assert recipe.load("out/recipe.yaml").sampling.samples == 4
    for stage in ("verify", "pair", "report"):
        assert main([stage, "out"]) == 0
    assert Path("out/report.html").exists()
    assert "another recipe" in refused(capsys, "verify", "out", "--sampling.samples", "5")


def test_settings_come_from_the_file_then_from_flags() -> None:
    flags = ["--sampling.samples", "3", "--training.learning-rate", "1e-6", "--problems.train", "4", "--training.bf16"]
    assert main(["sample", own_recipe(training={"beta": 0.3}), *flags]) == 0
    made = recipe.load("runs/mine/recipe.yaml")
    assert (made.sampling.samples, made.training.learning_rate, made.training.beta) == (3, 1e-6, 0.3)
    assert (made.problems.train, made.problems.held_out, made.training.bf16) == (4, 3, True)


def test_another_seed_has_a_directory_of_its_own() -> None:
    file = own_recipe()
    assert main(["sample", file]) == main(["sample", file, "--seed", "2"]) == 0
    assert recipe.load("runs/mine/recipe.yaml").seed == 0
    assert recipe.load("runs/mine-seed2/recipe.yaml").seed == 2


def test_a_changed_recipe_is_refused_with_the_difference(capsys: pytest.CaptureFixture[str]) -> None:
    file = own_recipe()
    assert main(["sample", file]) == 0
    capsys.readouterr()
    said = refused(capsys, "sample", file, "--sampling.temperature", "0.7")
    assert said.endswith("The difference:\n  sampling.temperature: 1.0 -> 0.7")
    assert main(["sample", file, "--sampling.temperature", "0.7", "--overwrite"]) == 0


def test_an_interrupt_says_how_to_go_on(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mixpref.sampling.stage.sample", interrupted)
    assert main(["sample", own_recipe()]) == 130
    assert capsys.readouterr().err.endswith("mixpref: interrupted; the same command goes on from here\n")


def test_a_defect_of_the_program_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr("mixpref.sampling.stage.sample", broken)
    with pytest.raises(RuntimeError, match="a defect"):
        main(["sample", own_recipe()])


def test_the_process_ends_with_the_status() -> None:
    done = subprocess.run([sys.executable, "-m", "mixpref.cli", "run", "none.yaml"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("mixpref: there is no recipe none.yaml")


def test_a_reader_that_has_gone_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-m", "mixpref.cli", "--help"], stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.fixture
def sums(monkeypatch: pytest.MonkeyPatch) -> Counting:
    """A benchmark made for tests in place of all others, and an engine that is asked its questions."""
    engine = Counting()
    # Imported first, so that it does not take the made one for good.
    import_module("mixpref.evaluation.sets")
    monkeypatch.setattr("mixpref.evaluation.benchmarks.benchmark", lambda name: made(name=name))
    monkeypatch.setattr("mixpref.evaluation.sets.benchmark", lambda name: made(name=name))
    monkeypatch.setattr("mixpref.evaluation.stage._engine", lambda run: engine)
    Path("data/m3cot").mkdir(parents=True)
    Path("other-model").mkdir()
    Path("other-model/config.json").write_text("{}")
    return engine


def test_any_models_are_measured_on_benchmarks_without_a_recipe(
    capsys: pytest.CaptureFixture[str], sums: Counting
) -> None:
    arguments = ["evaluate", "--benchmarks", "m3cot", "--model", "some-model", "--model", "other-model"]
    arguments += ["--evaluation.data", "data", "--output", "runs/two"]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    for model in ("some-model", "other-model"):
        assert {row["model"] for row in json.loads(Path(f"runs/two/scores/{model}.json").read_text())} == {model}
    assert "other-model against some-model on m3cot, CoT: 0.0 points" in out
    assert Path("runs/two/report.html").exists()
    asked = len(sums.asked)
    # What is in the directory is not asked again, and another model may join.
    assert main(arguments) == 0
    assert len(sums.asked) == asked
    assert [Path(model).name for model in sums.models] == ["some-model", "other-model"]
    Path("third").mkdir()
    Path("third/config.json").write_text("{}")
    assert main([*arguments, "--model", "./third"]) == 0
    assert len(sums.asked) == asked * 3 // 2


def test_without_a_model_the_embedded_one_is_measured(sums: Counting) -> None:
    assert main(["evaluate", "--benchmarks", "m3cot", "--evaluation.data", "data"]) == 0
    assert [file.name for file in Path("runs/evaluation/scores").glob("*.json")] == ["embedded.json"]
    assert len(sums.models) == 1


def test_mistakes_of_an_evaluation_without_a_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "evaluate", "--benchmarks", "mathvisto") == (
        "there is no benchmark 'mathvisto'; did you mean mathvista?"
    )
    said = refused(capsys, "evaluate", "--benchmarks", "gsm8k", "--model", "some-model", "--evaluation.data", "d")
    assert said.startswith("GSM8K")
    assert "get it by:\n  hf download openai/gsm8k" in said
    said = refused(capsys, "evaluate", "--benchmarks", "mmhal", "--model", "some-model")
    assert "is scored by a judge: name the model that judges as --evaluation.judge" in said
    said = refused(capsys, "evaluate", "--benchmarks", "world", "--model", "./nowhere")
    assert "there is no model directory ./nowhere" in said
    said = refused(capsys, "evaluate", "--benchmarks", "world", "--model", "a/b", "--model", "a-b")
    assert "are not all told apart by their names" in said


def test_only_runs_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "report", "runs/a", "runs/b") == "there is no run in runs/a; name run directories to compare"
