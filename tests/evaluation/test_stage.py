import json
from itertools import islice

import pytest

from mixpref.errors import MixprefError
from mixpref.evaluation import answering
from mixpref.evaluation.stage import evaluate, items, sampled_pass_at_k
from mixpref.evaluation.statistics import wilson
from mixpref.recipe import EvaluationRecipe, Recipe
from mixpref.records import Problem, Response
from mixpref.rundir import Run
from mixpref.verifying.stage import verify_responses

FAMILIES = ("chart", "table")


def problem(number, answer="7"):
    return Problem(
        question=f"What is number {number}?", answer=answer, source="world", family=FAMILIES[number % 2],
        images=(bytes([number]),),
    )  # fmt: skip


def response(asked, text, style="en", finish="stop", tokens=4, sample=0):
    return Response(
        problem_id=asked.id, sample=sample, text=text, tokens=tokens, finish=finish, seed=0, style=style,
        sampler="fake greedy", logprob=-1.0, error="no picture" if finish == "error" else "",
    )  # fmt: skip


class Fake:
    """Answers by number: right below `right`, then wrong, then unclear, then failing; records what it was asked."""

    batch_size = 4

    def __init__(self, right=4, wrong=2, unclear=2, stop_after=None):
        self.right, self.wrong, self.unclear, self.stop_after = right, wrong, unclear, stop_after
        self.models, self.calls = [], []

    def __call__(self, model):
        self.models.append(model)
        return self

    def answer(self, requests, sampling):
        assert sampling.greedy
        remaining = enumerate(requests)
        while batch := list(islice(remaining, self.batch_size)):
            if len(self.calls) == self.stop_after:
                raise KeyboardInterrupt
            assert {each.samples for _, each in batch} == {1}
            style = batch[0][1].style
            self.calls.append(([each.problem.id for _, each in batch], style, sampling.max_new_tokens))
            # An engine may answer in any order.
            for place, each in reversed(batch):
                yield place, (self.say(each.problem, style),)

    def say(self, asked, style):
        number = asked.images[0][0]
        said = "7" if number < self.right else "8" if number < self.right + self.wrong else "7\nor 8"
        text = said if style == "direct" else f"It is written there.\nFinal answer: {said}"
        failed = number >= self.right + self.wrong + self.unclear
        return response(asked, "" if failed else text, style, "error" if failed else "stop", tokens=number)


@pytest.fixture
def make(tmp_path):
    opened = []

    def build(problems, name="run", **evaluation):
        evaluation = {"batch_size": 4, "max_new_tokens": 32, **evaluation}
        run = Run.open(tmp_path / name, Recipe(name="test", evaluation=EvaluationRecipe(**evaluation)))
        opened.append(run)
        if problems:
            run.problems("held_out").append("00000", problems)
        run.problems("held_out").finish({}, {})
        for role in ("mpo", "sft"):
            run.model_dir(role).mkdir(parents=True)
            (run.model_dir(role) / "config.json").write_text("{}")
        return run

    yield build
    for run in opened:
        run.close()


@pytest.fixture(autouse=True)
def base_model(monkeypatch):
    """The recipe's own model is not needed: the engine is a fake."""
    real = Run.model_dir
    monkeypatch.setattr(Run, "model_dir", lambda run, role: run.path / "base" if role == "base" else real(run, role))


def scores(run, role):
    return {(row["benchmark"], row["style"]): row for row in json.loads((run.scores_dir / f"{role}.json").read_text())}


def test_scores_count_right_unparsed_and_failed(make):
    run = make([problem(number) for number in range(10)])
    evaluate(run, ("mpo",), Fake())
    found = scores(run, "mpo")
    assert set(found) == {
        (name, style) for name in ("world", "world/chart", "world/table") for style in ("direct", "cot")
    }
    overall = found["world", "cot"]
    low, high = wilson(4, 8)
    assert overall == {
        "model": "mpo", "benchmark": "world", "style": "cot", "n": 8, "accuracy": 0.5, "low": low, "high": high,
        "unparsed": 0.25, "errors": 2, "tokens": sum(range(8)) / 8, "metric": "accuracy", "scale": 1.0, "details": [],
        "judge": "",
    }  # fmt: skip
    # Even numbers are charts: 0, 2 right; 4 wrong; 6 unclear; 8 failed.
    assert (found["world/chart", "direct"]["n"], found["world/chart", "direct"]["errors"]) == (4, 1)
    assert found["world/chart", "direct"]["accuracy"] == 0.5


def test_every_problem_is_asked_once_a_style_in_the_recipes_form(make):
    problems = [problem(number) for number in range(10)]
    run = make(problems, cot_style="boxed", max_new_tokens=17)
    fake = Fake()
    evaluate(run, ("mpo",), fake)
    for style in ("direct", "boxed"):
        asked = [name for names, form, _ in fake.calls if form == style for name in names]
        assert sorted(asked) == sorted(each.id for each in problems)
    assert {limit for _, _, limit in fake.calls} == {17}
    assert fake.models == [str(run.model_dir("mpo"))]
    assert max(len(names) for names, _, _ in fake.calls) == 4
    # Problems of one family are asked together.
    assert fake.calls[0][0] == [each.id for each in problems[::2]][:4]


def test_open_problems_are_left_out_and_counted(make):
    run = make([*(problem(number) for number in range(4)), problem(8, answer=None), problem(9, answer=None)])
    evaluate(run, ("mpo",), Fake())
    assert scores(run, "mpo")["world", "cot"]["n"] == 4
    responses, verdicts = items(run, "mpo", "cot")
    counts = responses.manifest["counts"]
    assert counts == {"problems": 6, "open questions": 2, "responses": 4, "stop": 4, "length": 0, "error": 0}
    assert len(verdicts) == 4


def test_an_interrupted_evaluation_goes_on_and_does_nothing_twice(make):
    problems = [problem(number) for number in range(10)]
    run, whole = make(problems), make(problems, name="whole")
    broken = Fake(stop_after=4)
    with pytest.raises(KeyboardInterrupt):
        evaluate(run, ("mpo",), broken)
    rest = Fake()
    evaluate(run, ("mpo",), rest)
    uninterrupted = Fake()
    evaluate(whole, ("mpo",), uninterrupted)
    assert broken.calls + rest.calls == uninterrupted.calls
    assert scores(run, "mpo") == scores(whole, "mpo")
    # Done: no model is even loaded.
    idle = Fake()
    evaluate(run, ("mpo",), idle)
    assert idle.models == []


def test_each_role_has_its_own_scores(make):
    run = make([problem(number) for number in range(8)])
    evaluate(run, ("base", "sft"), Fake(right=2, wrong=5))
    evaluate(run, ("mpo",), Fake(right=6))
    assert scores(run, "base")["world", "cot"]["accuracy"] == 0.25
    assert scores(run, "mpo")["world", "cot"]["accuracy"] == 0.75
    assert scores(run, "sft")["world", "cot"]["model"] == "sft"


def test_only_the_styles_asked_for_are_scored(make):
    run = make([problem(0)], styles=("direct",))
    evaluate(run, ("mpo",), Fake())
    assert {style for _, style in scores(run, "mpo")} == {"direct"}


def test_a_missing_model_is_refused_before_any_work(make):
    run = make([problem(0)])
    fake = Fake()
    with pytest.raises(MixprefError, match=r"no model in .*dpo; run `mixpref train` first"):
        evaluate(run, ("mpo", "dpo"), fake)
    assert fake.calls == []


def test_no_answer_at_all_is_no_score_of_zero(make):
    run = make([problem(number) for number in range(20, 24)])
    with pytest.raises(MixprefError, match=r"none of the 4 held-out problems could be evaluated.*no picture"):
        evaluate(run, ("mpo",), Fake())
    assert not (run.scores_dir / "mpo.json").exists()


def test_only_open_problems_give_no_scores(make, capsys):
    run = make([problem(0, answer=None)])
    evaluate(run, ("mpo",), Fake())
    assert scores(run, "mpo") == {}
    assert "none of the held-out problems has an answer" in capsys.readouterr().err


def test_incomplete_problems_are_refused(tmp_path):
    with Run.open(tmp_path / "run", Recipe(name="test")) as run, pytest.raises(MixprefError, match="is not complete"):
        evaluate(run, ("base",), Fake())


def test_sampled_pass_at_k_leaves_failed_samples_out(make):
    run = make([])
    asked = [problem(number) for number in range(3)]
    run.problems("train").append("00000", asked)
    run.problems("train").finish({}, {})
    right, wrong = "So.\nFinal answer: 7", "So.\nFinal answer: 8"
    said = [(right, wrong, wrong, wrong), (right, right, wrong, None), (wrong, None, None, None)]
    run.responses.append(
        "00000",
        [
            response(one, text or "", finish="stop" if text else "error", sample=sample)
            for one, texts in zip(asked, said, strict=True)
            for sample, text in enumerate(texts)
        ],
    )
    run.responses.finish({}, {})
    verify_responses(run)
    assert sampled_pass_at_k(run, 1) == pytest.approx((1 / 4 + 2 / 3 + 0) / 3)
    # pass@2: 1 - 3/6, 1 - 0/3; the third problem has one sample only.
    assert sampled_pass_at_k(run, 2) == pytest.approx((1 / 2 + 1) / 2)
    assert sampled_pass_at_k(run, 5) is None


def test_batches_hold_like_problems_and_lose_none():
    problems = [problem(number) for number in range(41)]
    batches = list(answering._batches(iter(problems), 2))
    assert sorted(each.id for batch in batches for each in batch) == sorted(each.id for each in problems)
    assert sum(len({each.family for each in batch}) > 1 for batch in batches) <= 2
