"""Scores of a benchmark's rows, their groups, and what failed."""

import json
import re

import pytest
from fake_server import FakeServer, prompt

from mixpref.errors import MixprefError
from mixpref.evaluation import sets
from mixpref.evaluation.benchmark import Figure
from mixpref.evaluation.scoring import shown
from mixpref.evaluation.stage import evaluate, items
from mixpref.recipe import EvaluationRecipe, Recipe
from mixpref.records import Score, Verdict
from mixpref.rundir import Run

from .made import Counting, made


@pytest.fixture
def measure(tmp_path, monkeypatch):
    monkeypatch.setattr(sets, "folder_name", lambda name: name)
    (tmp_path / "data" / "sums").mkdir(parents=True)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    opened = []

    def run_of(benchmark=None, **evaluation):
        monkeypatch.setattr(sets, "benchmark", lambda name: benchmark or made())
        settings = {"held_out": False, "benchmarks": ("sums",), "data": str(tmp_path / "data"), "batch_size": 3}
        settings |= {"models": (str(tmp_path / "model"),), **evaluation}
        for run in opened:
            run.close()
        opened.append(Run.open(tmp_path / "run", Recipe(name="test", evaluation=EvaluationRecipe(**settings))))
        return opened[-1]

    yield run_of
    for run in opened:
        run.close()


def role(run):
    from mixpref.rundir import further_roles

    return further_roles(run)[0]


def scores(run, file=""):
    rows = json.loads((run.scores_dir / file / f"{role(run)}.json").read_text())
    return {(row["benchmark"], row["style"], row["metric"] if file else ""): row for row in rows}


def test_items_count_for_themselves_and_a_shared_question_is_asked_once(measure):
    run, engine = measure(), Counting()
    evaluate(run, (role(run),), engine)
    assert len(engine.asked) == 2 * 8
    assert all(sampling.greedy for sampling in engine.sampling)
    found = scores(run)
    # Sums with an even result, of rows 0 to 8: 1, 3, 5, 7; row 9 is row 0 again, and row 4 is broken.
    whole = found["sums", "cot", ""]
    assert (whole["n"], whole["errors"], whole["accuracy"]) == (9, 1, 4 / 9)
    assert (found["sums/half: first", "cot", ""]["n"], found["sums/half: first", "cot", ""]["errors"]) == (4, 1)
    assert found["sums/half: first", "cot", ""]["accuracy"] == 2 / 4
    assert found["sums/half: second", "direct", ""]["accuracy"] == 2 / 5
    assert whole["metric"] == "accuracy"


def test_a_benchmarks_own_words_are_asked_for_directly_only(measure):
    run, engine = measure(), Counting()
    evaluate(run, (role(run),), engine)
    own = [request for request in engine.asked if "at once" in request.problem.question]
    assert [(request.style, request.problem.question) for request in own] == [("verbatim", "Say 2 + 1 at once.")]
    responses, verdicts = items(run, role(run), "direct", "sums")
    assert {verdict.outcome for verdict in verdicts} == {"correct", "wrong"}
    assert len(responses) == 8


def test_an_interrupted_evaluation_goes_on_and_ends_the_same(measure, tmp_path):
    run = measure()
    with pytest.raises(KeyboardInterrupt):
        evaluate(run, (role(run),), Counting(most=11))
    rest = Counting()
    evaluate(run, (role(run),), rest)
    # Of the direct answers all were there, of the chains of thought one batch of three.
    assert len(rest.asked) == 5
    resumed = scores(run)
    nothing = Counting()
    evaluate(run, (role(run),), nothing)
    assert nothing.models == []
    assert scores(run) == resumed
    run.close()
    (tmp_path / "run").rename(tmp_path / "earlier")
    whole = measure()
    evaluate(whole, (role(whole),), Counting())
    assert scores(whole) == resumed


def test_scores_of_other_sets_stay(measure):
    run = measure()
    evaluate(run, (role(run),), Counting())
    file = run.scores_dir / f"{role(run)}.json"
    rows = json.loads(file.read_text())
    other = rows[0] | {"benchmark": "pope"}
    file.write_text(json.dumps([*rows, other, other | {"benchmark": "pope/category: random"}]))
    evaluate(run, (role(run),), Counting())
    names = [row["benchmark"] for row in json.loads(file.read_text())]
    assert names.count("sums") == 2
    assert names[-2:] == ["pope", "pope/category: random"]
    file.write_text("[1]")
    with pytest.raises(MixprefError, match=r"holds no scores .*; delete it and run"):
        evaluate(run, (role(run),), Counting())


def test_an_official_figure_of_another_kind(measure, capsys):
    def figure(answers):
        return Figure(value=3.5, low=3.0, high=4.0, details=(("answers", float(len(answers))),))

    def read(problem, text, style):
        return Verdict(outcome="error" if problem.answer == ("2",) else "correct", score=0.5, detail="judge is away")

    run = measure(made(metric="mean score", scale=6.0, figure=figure, read=read, styles={"direct": "direct"}))
    evaluate(run, (role(run),), Counting())
    found = scores(run)
    assert {style for _, style, _ in found} == {"direct"}
    whole = found["sums", "direct", ""]
    assert (whole["accuracy"], whole["low"], whole["high"], whole["scale"]) == (3.5, 3.0, 4.0, 6.0)
    assert (whole["metric"], whole["details"], whole["errors"]) == ("mean score", [["answers", 8.0]], 2)
    said = capsys.readouterr().err
    assert "sums is not asked for chains of thought" in said
    assert "3.50 of 6 on 8 items of Sums (made), 2 failed and left out" in said


def test_a_set_that_fails_as_a_whole_is_no_score_of_zero(measure):
    run = measure(made(read=lambda *_: Verdict(outcome="error", detail="judge is away")))
    with pytest.raises(MixprefError, match=r"none of the 10 items of Sums .* the first failed with: judge is away"):
        evaluate(run, (role(run),), Counting())


def test_figures_as_people_read_them():
    score = Score(model="m", benchmark="b", style="cot", n=1, accuracy=0.5, low=0, high=1, unparsed=0)
    assert shown(score) == "50.0 %"


def test_samples_are_summed_up_for_each_k(measure):
    run = measure(samples=4)
    engine = Counting()
    evaluate(run, (role(run),), engine)
    assert [request.samples for request in engine.asked].count(4) == 8
    found = scores(run, "sampled")
    assert {metric for _, _, metric in found} == {f"{name}@{k}" for name in ("pass", "majority") for k in (1, 2, 4)}
    # Of four samples two are right: one that is drawn is right half the time, and two of three times in six not both.
    assert found["sums", "cot", "pass@1"]["accuracy"] == 0.5
    assert found["sums", "cot", "pass@2"]["accuracy"] == pytest.approx(5 / 6)
    assert found["sums", "cot", "pass@4"]["accuracy"] == 1
    assert found["sums", "cot", "pass@1"]["n"] == 9
    before = scores(run, "sampled")
    again = Counting()
    evaluate(run, (role(run),), again)
    assert again.asked == []
    assert scores(run, "sampled") == before
    more = Counting()
    evaluate(measure(samples=2), (role(run),), more)
    assert {request.samples for request in more.asked} == {2}


def test_a_served_model_is_measured_too(measure, tmp_path):
    def reckon(messages, seed):
        said = prompt(messages)
        total = int(re.search(r"(\d+) \+ 1", said)[1]) + 1
        return f"I count.\nFinal answer: {total}" if "step by step" in said else str(total)

    with FakeServer(model="served", text=reckon, faults=0.2, kinds=("500", "reset")) as server:
        run = measure(engine="server", servers=(server.url,), models=("served",))
        evaluate(run, ("served",))
        asked = server.counts["requests"]
        evaluate(run, ("served",))
        assert server.counts["requests"] == asked
    assert all(request["temperature"] == 0 for request in server.requests)
    found = scores(run)
    assert {found["sums", style, ""]["accuracy"] for style in ("direct", "cot")} == {1}
    assert found["sums", "cot", ""]["n"] == 9
