import pytest

from mixpref.recipe import PairingRecipe, SamplingRecipe
from mixpref.records import Problem, Response, Verdict
from mixpref.sampling.adaptive import fate

PROBLEM = Problem(question="1 + 1?", answer="2")


def judged(*outcomes):
    return [
        (
            Response(
                problem_id=PROBLEM.id, sample=sample, text=f"text {sample}", tokens=3, finish="stop", seed=0,
                style="en", sampler="s", logprob=None,
            ),
            Verdict(outcome=outcome, answer=f"{sample}9", normalised=f"{sample}9", rule="number"),
        )
        for sample, outcome in enumerate(outcomes)
    ]  # fmt: skip


SAMPLING = SamplingRecipe(samples=12, round_samples=4, give_up=6, adaptive=True)


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        (["correct", "correct", "wrong", "wrong"], "enough"),
        (["correct", "wrong", "unparsed", "unparsed", "unparsed"], "enough"),
        (["correct", "wrong", "wrong", "wrong"], "goes on"),
        (["correct"] * 4, "goes on"),
        (["correct"] * 6, "trivial"),
        (["correct"] * 5 + ["unparsed"], "enough"),
        (["wrong"] * 6, "hopeless"),
        (["wrong"] * 5 + ["error"], "hopeless"),
        (["error"] * 4, "failed"),
        (["error"] * 3 + ["wrong"], "goes on"),
        (["correct"] + ["error"] * 10 + ["wrong"], "at the limit"),
    ],
)
def test_fates(outcomes, expected):
    assert fate(PROBLEM, judged(*outcomes), SAMPLING, PairingRecipe(max_pairs=4)) == expected


def test_only_pairs_of_the_wanted_kinds_are_enough():
    outcomes = judged("correct", "unparsed", "unparsed")
    assert fate(PROBLEM, outcomes, SAMPLING, PairingRecipe(max_pairs=2)) == "enough"
    assert fate(PROBLEM, outcomes, SAMPLING, PairingRecipe(max_pairs=2, kinds=("correctness",))) == "goes on"
