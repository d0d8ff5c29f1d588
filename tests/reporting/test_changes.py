"""Before against after, item by item: the held-out problems, and a benchmark whose rows share problems."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mixpref.errors import MixprefError
from mixpref.evaluation.benchmark import Item
from mixpref.recipe import EvaluationRecipe, Recipe
from mixpref.records import Problem, Response, Verdict
from mixpref.reporting.changes import answers_of, candidates, changes, families, sets
from mixpref.rundir import Run
from mixpref.store import Artifact


def add_benchmark(run: Run, problems: list[Problem], right: dict[str, set[int]]) -> None:
    """`puzzles`: three problems, the first of them asked by two rows, and a row that cannot be asked."""
    path = run.path / "benchmarks" / "puzzles"
    asked = Artifact(path / "problems", Problem)
    asked.append("00000", problems)
    asked.finish({}, {})
    rows = [(problems[0].id, "a"), (problems[0].id, "b"), (problems[1].id, "c"), (problems[2].id, "d"), ("", "e")]
    items = Artifact(path / "items", Item)
    groups = ("task: counting",)
    items.append(
        "00000", [Item(problem_id=id, key=key, groups=groups, fault="" if id else "no image") for id, key in rows]
    )
    items.finish({}, {})
    for role, correct in right.items():
        where = run.scores_dir / "items" / f"{role}-cot-puzzles"
        responses = [
            Response(
                problem_id=each.id,
                sample=0,
                text=f"{role} on {number}",
                tokens=5,
                finish="stop",
                seed=0,
                style="en",
                sampler="",
                logprob=None,
            )
            for number, each in enumerate(problems)
        ]
        Artifact(where / "responses", Response).append("00000", responses)
        Artifact(where / "verdicts", Verdict).append(
            "00000",
            [
                Verdict(outcome="correct" if number in correct else "wrong", response_id=each.id)
                for number, each in enumerate(responses)
            ],
        )


def test_fixed_and_broken_problems_add_up(made_run: Run) -> None:
    (cot, direct), found = changes(made_run)
    assert (cot.benchmark, cot.style, cot.before, cot.after) == ("world", "cot", "base", "mpo")
    # Held-out problems 0-1 right both times, 2-5 fixed, 6 broken, 7 and 9 wrong both times, 8 an error.
    compared = cot.comparison
    assert (compared.both_right, compared.fixed, compared.broken, compared.both_wrong) == (2, 4, 1, 2)
    assert (compared.left_out, compared.n) == (1, 9)
    assert compared.difference == pytest.approx(3 / 9)
    assert cot.kinds == {"both right": 2, "fixed": 4, "broken": 1, "both wrong": 2, "no outcome": 1}
    assert direct.style == "direct"
    assert len(found) == sum(cot.kinds.values()) + sum(direct.kinds.values()) == 20


def test_nothing_is_compared_before_both_models_are_evaluated(made_run: Run, empty_run: Run) -> None:
    assert changes(empty_run) == ([], [])
    for part in ("responses", "verdicts"):
        for style in ("cot", "direct"):
            Artifact(made_run.scores_dir / "items" / f"mpo-{style}" / part, Response).discard()
    assert changes(made_run) == ([], [])


def test_rows_that_share_a_problem_count_each(made_run: Run, problem: Callable[..., Problem]) -> None:
    problems = [problem(number, family="") for number in range(3)]
    add_benchmark(made_run, problems, {"base": {1}, "mpo": {0, 1}})
    compared, found = changes(made_run)
    puzzles = compared[-1]
    assert (puzzles.benchmark, puzzles.style) == ("puzzles", "cot")
    # Rows a and b ask problem 0, which is fixed; row e asks nothing.
    comparison = puzzles.comparison
    assert (comparison.n, comparison.fixed, comparison.both_right, comparison.both_wrong) == (4, 2, 1, 1)
    assert puzzles.kinds == {"fixed": 1, "both right": 1, "both wrong": 1}
    asked = sets(made_run)[-1]
    assert families(asked) == {each.id: "task: counting" for each in problems}
    some = [each for each in found if each.asked.name == "puzzles" and each.kind == "fixed"]
    answers = answers_of(some, made_run)
    assert {key: response.text for key, (response, _) in answers.items()} == {
        ("puzzles", "cot", "base", problems[0].id): "base on 0",
        ("puzzles", "cot", "mpo", problems[0].id): "mpo on 0",
    }


def test_a_benchmark_with_the_name_of_the_held_out_set_is_another_set(
    made_run: Run, problem: Callable[..., Problem]
) -> None:
    Artifact(made_run.path / "benchmarks" / "world" / "problems", Problem).append("00000", [problem(1)])
    assert [(each.name, each.folder) for each in sets(made_run)] == [("world", ""), ("world-benchmark", "-world")]


def test_verdicts_on_other_responses_are_refused(made_run: Run) -> None:
    verdicts = Artifact(made_run.scores_dir / "items" / "base-cot" / "verdicts", Verdict)
    verdicts.append("00000", [Verdict(outcome="wrong", response_id="other-0")])
    with pytest.raises(MixprefError, match="does not belong to"):
        changes(made_run)


def test_the_trained_model_comes_before_further_ones(tmp_path: Path) -> None:
    run = Run(tmp_path, Recipe(name="test", evaluation=EvaluationRecipe(models=("some/model", "other"))))
    assert candidates(run) == (("base", "some-model", "other"), ("mpo", "dpo", "sft", "some-model", "other"))
