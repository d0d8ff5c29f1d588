"""What was made of the training problems, counted from the artifacts of the made-up run and of runs cut short."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mixpref.errors import MixprefError
from mixpref.records import Problem, Response
from mixpref.reporting.sampled import BINS, Paired, Sampled, count, gap_bin, sample_of
from mixpref.rundir import Run


def counted(run: Run) -> tuple[Sampled, Paired]:
    return count(run, dict(run.problems("train").columns("id", "family")))


def test_everything_is_counted(made_run: Run) -> None:
    sampled, paired = counted(made_run)
    assert sampled.finishes == {"stop": 45, "length": 3}
    assert sampled.outcomes == {"correct": 12, "wrong": 21, "unparsed": 14, "error": 1}
    assert sum(sampled.outcomes.values()) == sum(sampled.finishes.values()) == 48
    # Even problems are charts. Of the odd ones, 1 has two unparsed responses and 3 has an error instead.
    assert sampled.families == {
        "chart": {"correct": 6, "wrong": 10, "unparsed": 8},
        "table": {"correct": 6, "wrong": 11, "unparsed": 6, "error": 1},
    }
    assert sampled.tokens == {"correct": {9: 12}, "wrong": {9: 21}}
    # Of 4 samples a problem the first is right, the second wrong; problem 3 has one error.
    assert sampled.solved == {(4, 1): 11, (3, 1): 1}
    assert paired.kinds == {"correctness": 24, "format": 4}
    assert paired.problems == 12
    assert paired.tokens == {"chosen": {9: 28}, "rejected": {9: 28}}
    assert paired.gaps == {0: 28}
    assert paired.of_unknown_length == 0


def test_nothing_is_counted_of_nothing(empty_run: Run) -> None:
    assert counted(empty_run) == (Sampled(), Paired())


def test_lengths_without_responses_are_unknown(made_run: Run) -> None:
    made_run.verdicts.discard()
    made_run.responses.discard()
    sampled, paired = counted(made_run)
    assert sampled == Sampled()
    assert (paired.tokens, paired.gaps, paired.of_unknown_length) == ({}, {}, 28)


def test_responses_that_are_not_judged_yet_are_no_outcomes(made_run: Run) -> None:
    made_run.verdicts.discard()
    sampled, paired = counted(made_run)
    assert (sampled.outcomes, sampled.solved, sampled.families) == ({}, {}, {})
    assert sampled.finishes == {"stop": 45, "length": 3}
    assert sum(paired.gaps.values()) == 28


def test_verdicts_on_other_responses_are_refused(
    made_run: Run, problem: Callable[..., Problem], response: Callable[..., Response]
) -> None:
    made_run.responses.append("00000", [response(problem(1), 0, "something else")])
    with pytest.raises(MixprefError, match=r"does not belong to .*mixpref verify"):
        counted(made_run)


def test_the_sample_that_a_text_is() -> None:
    assert sample_of("abc", "abc-12 made t=1") == 12
    assert sample_of("abc", "abc-12 made dropout-ntp sr0.5 blind") is None
    assert sample_of("abc", "other-12 made") is None
    assert sample_of("abc", "rows.jsonl:7") is None


def test_gaps_are_put_into_bins_of_one_width() -> None:
    assert [gap_bin(gap) for gap in (-1.0, -0.95, -0.001, 0.0, 0.0999, 0.1, 0.95, 1.0)] == [-10, -10, -1, 0, 0, 1, 9, 9]
    assert {gap_bin(each / 500 - 1) for each in range(1001)} == {*range(-BINS // 2, BINS // 2)}
