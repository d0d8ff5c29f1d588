"""Every benchmark that needs no judge, from made data in its official form to its scores."""

import json
from collections import Counter

import pytest

from mixpref.evaluation import sets
from mixpref.evaluation.benchmarks import names
from mixpref.evaluation.stage import evaluate
from mixpref.recipe import EvaluationRecipe, Recipe
from mixpref.records import Response
from mixpref.rundir import Run, further_roles

from .test_crpe import circle, write
from .test_crpe import where as crpe  # noqa: F401 - fixtures, by these names
from .test_gsm8k import rows as gsm8k_rows
from .test_m3cot import hub as m3cot  # noqa: F401
from .test_mathvision import hub as mathvision  # noqa: F401
from .test_mathvista import hub as mathvista  # noqa: F401
from .test_mmlu import rows as mmlu_rows
from .test_pope import hub as pope_hub
from .written import lines

JUDGED = ("mmvet", "llava-bench", "mmhal")


@pytest.fixture
def gsm8k(tmp_path):
    lines(tmp_path / "test.jsonl", gsm8k_rows())
    return tmp_path


@pytest.fixture
def mmlu(tmp_path):
    lines(tmp_path / "test.jsonl", mmlu_rows())
    return tmp_path


@pytest.fixture
def pope(tmp_path):
    return pope_hub(tmp_path)


class Knowing:
    """States the gold answer in the form that is asked for, unless the number of the question is among the `wrong`."""

    def __init__(self, wrong=()):
        self.wrong = wrong
        self.styles = Counter()

    def __call__(self, model):
        return self

    def answer(self, requests, sampling):
        for place, request in enumerate(requests):
            self.styles[request.style] += 1
            gold = request.problem.answer[0] if place not in self.wrong else "nothing of it"
            direct = request.style in ("direct", "plain", "verbatim")
            text = gold if direct else f"I look at it.\nFinal answer: {gold}"
            yield place, (
                Response(
                    problem_id=request.problem.id, sample=0, text=text, tokens=3, finish="stop", seed=0,
                    style=request.style, sampler="knowing", logprob=None,
                ),
            )  # fmt: skip


def scores(folder, name, where, monkeypatch, engine):
    monkeypatch.setattr(sets, "folder", lambda run, name: where)
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "config.json").write_text("{}")
    evaluation = EvaluationRecipe(held_out=False, benchmarks=(name,), models=(str(folder / "model"),))
    with Run.open(folder / "run", Recipe(name="test", evaluation=evaluation)) as run:
        (role,) = further_roles(run)
        evaluate(run, (role,), engine)
        rows = json.loads((run.scores_dir / f"{role}.json").read_text())
        (asked,) = sets.sets(run)
        return {(row["benchmark"], row["style"]): row for row in rows}, list(asked.rows())


@pytest.mark.parametrize("name", [name for name in names() if name not in JUDGED])
def test_who_knows_all_answers_has_the_best_figure(name, request, tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("run")
    where = None if name == "world" else request.getfixturevalue(name.partition("-")[0])
    if name == "crpe-existence":
        write(where, [*circle(0, "exist", "boat"), *circle(4, "exist", "sock")], "crpe_exist.jsonl")
    engine = Knowing()
    found, rows = scores(folder, name, where, monkeypatch, engine)
    faults = sum(bool(row.fault) for row in rows)
    assert len(rows) > faults
    for style in ("direct", "cot"):
        whole = found[name, style]
        assert (whole["accuracy"], whole["high"]) == (1, 1)
        assert (whole["n"], whole["errors"]) == (len(rows) - faults, faults)
    groups = {group for row in rows for group in row.groups if not row.fault}
    assert {(benchmark, style) for benchmark, style in found if "/" in benchmark} == {
        (f"{name}/{group}", style) for group in groups for style in ("direct", "cot")
    }


def test_who_errs_once_has_less(gsm8k, tmp_path_factory, monkeypatch):
    found, _ = scores(tmp_path_factory.mktemp("run"), "gsm8k", gsm8k, monkeypatch, Knowing(wrong=[0]))
    assert found["gsm8k", "direct"]["accuracy"] == pytest.approx(2 / 3)
