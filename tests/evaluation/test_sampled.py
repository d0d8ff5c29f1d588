"""Several samples an item: which rewards they get, and that numbers of samples are kept apart."""

import json

import pytest

from mixpref.evaluation import sampled, sets
from mixpref.evaluation.stage import evaluate
from mixpref.recipe import EvaluationRecipe, Recipe
from mixpref.rundir import Run, resolve_model

from .made import Counting, made


@pytest.fixture
def measure(tmp_path, monkeypatch):
    """Measures the trained model of one run with so many samples; returns its engine and the sampled figures."""
    monkeypatch.setattr(sets, "folder_name", lambda name: name)
    monkeypatch.setattr(sets, "benchmark", lambda name: made())
    (tmp_path / "data" / "sums").mkdir(parents=True)
    asked = []

    def rewards(items, policy, reference, *, beta, batch_size, trust_remote_code):
        """Longer answers are worth more: of these, the wrong ones."""
        asked.append((policy, reference, beta))
        for problem, response in items:
            assert problem.id == response.problem_id
            asked.append(response.id)
            yield float(len(response.text))

    monkeypatch.setattr(sampled, "implicit_rewards", rewards)

    def once(samples, engine=None):
        evaluation = EvaluationRecipe(
            held_out=False, benchmarks=("sums",), data=str(tmp_path / "data"), batch_size=3, samples=samples
        )
        engine = engine or Counting()
        with Run.open(tmp_path / "run", Recipe(name="test", evaluation=evaluation)) as run:
            run.model_dir("mpo").mkdir(parents=True, exist_ok=True)
            (run.model_dir("mpo") / "config.json").write_text("{}")
            evaluate(run, ("mpo",), engine)
            rows = json.loads((run.scores_dir / "sampled" / "mpo.json").read_text())
        return engine, {row["metric"]: row["accuracy"] for row in rows}

    once.asked = asked
    return once


def test_rewards_are_of_each_response_and_choose_the_best(measure, tmp_path):
    _, found = measure(4)
    policy, *responses = measure.asked
    assert policy == (str(tmp_path / "run" / "model"), resolve_model("embedded"), 0.1)
    assert len(responses) == len(set(responses)) == 8 * 4
    # A prompt is computed once for its samples only where they stand together.
    problems = [each.rpartition("-")[0] for each in responses]
    assert all(len(set(problems[start : start + 4])) == 1 for start in range(0, 32, 4))
    # The longest of two or more samples is a wrong one unless both are right: one pair of six.
    assert found["best-of-1"] == 0.5
    assert found["best-of-2"] == pytest.approx(1 / 6)
    assert found["best-of-4"] == 0


def test_rewards_are_computed_once(measure):
    measure(4)
    before = list(measure.asked)
    _, found = measure(4)
    assert measure.asked == before
    assert found["best-of-4"] == 0


def test_another_number_of_samples_never_mixes_with_what_was_cut_off(measure):
    with pytest.raises(KeyboardInterrupt):
        # Of the 16 greedy answers all, of the eight problems' samples those of one batch.
        measure(4, Counting(most=20))
    engine, found = measure(2)
    assert sorted(request.samples for request in engine.asked) == [2] * 8
    assert found["pass@2"] == 1
    assert "pass@4" not in found
