"""What models are asked: loading benchmarks onto the disk, and what is said where they are missing."""

import dataclasses
import json

import pytest

from mixpref.errors import MixprefError
from mixpref.evaluation import benchmarks, sets
from mixpref.evaluation.benchmark import faulty
from mixpref.recipe import EvaluationRecipe, Recipe
from mixpref.rundir import Run

from .made import made


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(sets, "benchmark", lambda name: made())
    monkeypatch.setattr(sets, "folder_name", lambda name: name)
    (tmp_path / "data" / "sums").mkdir(parents=True)
    evaluation = EvaluationRecipe(held_out=False, benchmarks=("sums",), data=str(tmp_path / "data"))
    with Run.open(tmp_path / "run", Recipe(name="test", evaluation=evaluation)) as opened:
        yield opened


def test_rows_that_ask_the_same_share_a_problem_and_faults_are_kept(run, capsys):
    (asked,) = sets.sets(run)
    rows = list(asked.rows())
    assert [item.key for item in rows] == [f"row-{number}" for number in range(10)]
    assert rows[0].problem_id == rows[9].problem_id
    assert rows[0].groups != rows[9].groups
    assert rows[4].fault == "its picture is broken"
    assert len(asked.problems) == 8
    counts = {"rows": 10, "asked": 9, "faults": 1, "problems": 8}
    assert asked.items.manifest["counts"] == asked.problems.manifest["counts"] == counts
    assert "sums: 10 rows, 1 of them cannot be asked, 8 different questions" in capsys.readouterr().err


def test_a_benchmark_is_read_once_and_a_torn_loading_anew(run, monkeypatch):
    (asked,) = sets.sets(run)
    before = [item.key for item in asked.rows()]
    (asked.items.path / "manifest.json").unlink()
    (asked.problems.path / "part-00000.parquet").unlink()
    (again,) = sets.sets(run)
    assert [item.key for item in again.rows()] == before
    assert len(again.problems) == 8

    def never(name):
        return made(load=lambda folder: pytest.fail("it is on the disk already"))

    monkeypatch.setattr(sets, "benchmark", never)
    assert len(sets.sets(run)[0].problems) == 8
    sets.check(run)


def test_missing_data_is_named_with_the_command_that_gets_it(run, tmp_path):
    (tmp_path / "data" / "sums").rmdir()
    with pytest.raises(MixprefError) as told:
        sets.check(run)
    where = tmp_path / "data" / "sums"
    assert str(told.value) == (
        f"Sums (made): there is no folder {where}; get it by:\n  hf download made/sums --local-dir {where}"
    )


def test_a_benchmark_without_a_usable_row_is_refused(run, monkeypatch):
    monkeypatch.setattr(sets, "benchmark", lambda name: made(load=lambda folder: iter([faulty("a", "no picture")])))
    with pytest.raises(MixprefError, match=r"Sums \(made\): no row in .* can be asked; the first: no picture"):
        sets.sets(run)


def test_a_judged_benchmark_wants_a_judge_before_any_work(run, monkeypatch):
    monkeypatch.setattr(sets, "benchmark", lambda name: made(rubric="mmvet"))
    with pytest.raises(MixprefError, match=r"scored by a judge: name .* --evaluation.judge, .* --evaluation.judge-url"):
        sets.check(run)


def test_styles_of_a_benchmark(run):
    (asked,) = sets.sets(run)
    assert asked.prompt_style("direct", "boxed") == "direct"
    # The recipe chooses the form of a chain of thought, unless the benchmark has one of its own.
    assert asked.prompt_style("cot", "boxed") == "boxed"
    other = dataclasses.replace(asked, benchmark=made(styles={"cot": "plain"}))
    assert other.prompt_style("cot", "boxed") == "plain"
    assert other.prompt_style("direct", "boxed") is None


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(MixprefError, match=r"there is no benchmark 'mathvisto'; did you mean mathvista\?"):
        benchmarks.benchmark("mathvisto")


@pytest.mark.parametrize("name", benchmarks.names())
def test_every_benchmark_tells_all_about_itself(name):
    asked = benchmarks.benchmark(name)
    assert asked.name == name
    for text in (asked.title, asked.metric, asked.version, asked.licence, asked.files):
        assert text.strip() == text != ""
    if name != "world":
        assert asked.hub
        assert "{folder}" in asked.get
    assert set(asked.styles) <= {"direct", "cot"}
    json.dumps(dict(asked.styles))
