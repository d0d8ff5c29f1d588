"""Which plots there are, and that the bars of the stages add up."""

from __future__ import annotations

from mixpref.records import Score
from mixpref.reporting.gather import Findings
from mixpref.reporting.panels import (
    FAMILIES,
    PANELS,
    bars,
    pairing_plots,
    samples_plots,
    sampling_plots,
    training_plots,
)
from mixpref.reporting.sampled import Paired, Sampled


def test_bars_add_up(findings: Findings) -> None:
    made = {bar.name: bar for bar in bars(findings)}
    assert {name: (bar.total, bar.command) for name, bar in made.items()} == {
        "Problems": (614, "sample"),
        "Responses": (80, "sample"),
        "Verdicts": (80, "verify"),
        "Pairs": (55, "pair"),
    }
    assert all(bar.total == sum(count for _, count, _ in bar.parts) for bar in made.values())


def test_pass_at_k_is_the_mean_over_the_problems_with_so_many_samples(findings: Findings) -> None:
    passed, columns, *_ = sampling_plots(findings.sampled)
    # k = 1: (4 x 0/8 + 4 x 4/8 + 1 x 6/6) / 9; k = 8: (4 x 0 + 4 x 1) / 8, without the problem of 6 samples.
    assert "pass@k runs from 33.3 % to 50.0 %" in passed
    assert "0: 4, 1: 0, 2: 0, 3: 0, 4: 4, 5: 0, 6: 1" in columns


def test_outcomes_and_lengths_are_drawn(findings: Findings) -> None:
    *_, families, lengths = sampling_plots(findings.sampled)
    assert "table: correct 10, wrong 30, unparsed 8" in families
    assert "correct: 30, median 9; wrong: 40, median 5" in lengths
    texts, gaps = pairing_plots(findings.paired)
    assert "chosen: 55, median 9; rejected: 55, median 5" in texts
    assert "50 of 55 at or above 0" in gaps


def test_many_families_are_put_together() -> None:
    families = {f"family {number:02d}": {"correct": 100 - number} for number in range(40)}
    (drawn,) = sampling_plots(Sampled(families=families))
    assert f"family {FAMILIES - 2:02d}: correct {100 - FAMILIES + 2}" in drawn
    rest = sum(100 - number for number in range(FAMILIES - 1, 40))
    assert f"{40 - FAMILIES + 1} others: correct {rest:,}" in drawn


def test_nothing_is_drawn_of_nothing() -> None:
    assert sampling_plots(Sampled()) == []
    assert sampling_plots(Sampled(families={"": {"correct": 3}})) == []
    assert pairing_plots(Paired()) == []
    assert bars(Findings(name="")) == []


def test_training_plots_leave_out_what_was_not_logged() -> None:
    assert len(training_plots([{"step": 1, "loss": 1.0}, {"step": 2, "loss": 0.5, "rewards/margins": 0.1}])) == 2
    assert training_plots([{"step": 1, "loss": None, "delta": "much"}]) == []


def test_what_the_trainer_logs_is_what_is_drawn() -> None:
    from mixpref.training.metrics import MEANS

    drawn = {key for _, lines, _ in PANELS for key, _ in lines}
    assert drawn == {*MEANS, "delta", "grad_norm", "learning_rate"}


def test_samples_have_a_plot_for_each_model_with_a_line_for_each_choice() -> None:
    def score(model: str, metric: str, accuracy: float) -> Score:
        return Score(
            model=model,
            metric=metric,
            benchmark="world",
            style="cot",
            n=9,
            accuracy=accuracy,
            low=0,
            high=1,
            unparsed=0,
        )

    found = [score("mpo", f"{name}{k}", 0.5) for name in ("pass@", "majority@", "best-of-") for k in (1, 2)]
    drawn = samples_plots([*found, score("base", "pass@1", 0.25), score("base", "pass@2", 0.5)])
    assert len(drawn) == 2
    assert "mpo on" in drawn[0]
    for line in ("pass", "majority", "best of k by its own reward"):
        assert line in drawn[0]
    assert "pass runs from 25.0 % to 50.0 %" in drawn[1]
    assert samples_plots([]) == []
