"""What is read from a run directory, written here by the same store that the stages use."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from mixpref.errors import MixprefError
from mixpref.records import PreferencePair, Score
from mixpref.reporting.gather import Findings, _quotas, curve, gather, read_log, read_scores
from mixpref.rundir import Run


def test_everything_is_counted(made_run: Run) -> None:
    found = gather(made_run)
    assert (found.train, found.held_out, found.seed) == (12, 10, 3)
    assert found.finishes == {"stop": 45, "length": 3}
    assert found.outcomes == {"correct": 12, "wrong": 21, "unparsed": 14, "error": 1}
    assert sum(found.outcomes.values()) == sum(found.finishes.values()) == 48
    # Of 4 samples a problem the first is right, the second wrong; problem 3 has one error.
    assert found.solved == {(4, 1): 11, (3, 1): 1}
    assert found.pairs == {"correctness": 24, "format": 4}
    assert found.paired == 12
    assert [row.line for row in found.rejected] == [7, 9]
    assert found.unused == 5
    assert list(found.logs) == ["mpo"]
    assert {score.model for score in found.scores} == {"base", "mpo"}
    assert "problems/train/manifest.json" in found.manifests
    assert "seed: 3" in found.recipe


def test_an_empty_run_has_findings(empty_run: Run) -> None:
    found = gather(empty_run)
    assert (found.train, found.held_out, found.scores, found.gallery, found.changes) == (None, None, (), (), ())
    assert found.solved == {}


def test_the_gallery_shows_each_problem_once_for_a_kind_with_its_verdicts(made_run: Run) -> None:
    found = gather(made_run, pairs=8)
    assert len(found.gallery) == 8
    assert Counter(shown.pair.why for shown in found.gallery) == {"correctness": 5, "format": 3}
    assert len({(shown.pair.why, shown.pair.problem_id) for shown in found.gallery}) == 8
    for shown in found.gallery:
        assert shown.problem is not None
        assert shown.problem.id == shown.pair.problem_id
        assert shown.chosen is not None
        assert shown.chosen.outcome == "correct"
        assert shown.rejected is not None


def test_the_sample_is_the_same_every_time_and_another_with_another_seed(
    made_run: Run, make_run: Callable[..., Run]
) -> None:
    def shown(run: Run) -> list[PreferencePair]:
        return [each.pair for each in gather(run, pairs=6).gallery]

    assert shown(made_run) == shown(made_run)
    assert shown(made_run) != shown(make_run(seed=4))


def test_a_problem_that_is_gone_does_not_hide_its_pair(made_run: Run) -> None:
    made_run.problems("train").discard()
    made_run.verdicts.discard()
    found = gather(made_run)
    assert found.gallery
    assert all(each.problem is each.chosen is each.rejected is None for each in found.gallery)


def test_fixed_and_broken_problems_add_up(made_run: Run) -> None:
    cot, direct = gather(made_run, changes=2).changes
    assert (cot.style, cot.before, cot.after) == ("cot", "base", "mpo")
    # Held-out problems 0-1 right both times, 2-5 fixed, 6 broken, 7 and 9 wrong both times, 8 an error.
    assert (cot.both_right, cot.fixed, cot.broken, cot.both_wrong, cot.left_out) == (2, 4, 1, 2, 1)
    assert len(cot.shown_fixed) == 2
    for change in (*cot.shown_fixed, *cot.shown_broken):
        assert change.problem is not None
        assert {change.problem.id} == {change.before[0].problem_id, change.after[0].problem_id}
        assert change.before[1].response_id == change.before[0].id
    assert {change.after[1].outcome for change in cot.shown_fixed} == {"correct"}
    assert [change.before[1].outcome for change in cot.shown_broken] == ["correct"]
    assert direct.style == "direct"
    assert not direct.shown_fixed


@pytest.mark.parametrize(
    ("available", "total", "quotas"),
    [
        ({"a": 3, "b": 2}, 24, {"a": 3, "b": 2}),
        ({"a": 1000, "b": 1000}, 24, {"a": 12, "b": 12}),
        ({"a": 5000, "b": 2}, 24, {"a": 22, "b": 2}),
        ({"a": 5000, "b": 100}, 24, {"a": 18, "b": 6}),
        ({}, 24, {}),
    ],
)
def test_every_kind_of_pair_is_seen(available: dict[str, int], total: int, quotas: dict[str, int]) -> None:
    assert _quotas(available, total) == quotas


def test_a_log_may_be_torn_and_repeat_steps_after_a_resume(tmp_path: Path) -> None:
    file = tmp_path / "training_log.jsonl"
    assert read_log(file) == ()
    lines = [{"step": 1, "loss": 3.0}, {"step": 2, "loss": 2.0}, {"step": 3, "loss": 9.0}, {"step": 2, "loss": 2.5}]
    file.write_text("\n".join(map(json.dumps, lines)) + '\n{"step": 4, "lo')
    log = read_log(file)
    assert [entry["step"] for entry in log] == [1, 2, 3]
    assert curve(log, "loss") == [(1, 3.0), (2, 2.5), (3, 9.0)]
    assert curve(log, "delta") == []


def test_scores_of_a_later_version_are_read_and_broken_ones_refused(made_run: Run, score: Callable[..., Score]) -> None:
    file = made_run.scores_dir / "dpo.json"
    file.write_text(json.dumps([asdict(score("dpo", "cot", 0.5)) | {"something": "new"}]))
    assert [each.model for each in read_scores(made_run)][-2:] != ["dpo", "dpo"]
    assert list(dict.fromkeys(each.model for each in read_scores(made_run))) == ["base", "dpo", "mpo"]
    file.write_text('[{"model": "dpo"}]')
    with pytest.raises(MixprefError, match=r"dpo\.json is not a list of scores.*mixpref evaluate"):
        read_scores(made_run)


def test_pass_at_1_is_the_share_of_right_samples(made_run: Run) -> None:
    from mixpref.evaluation.stage import sampled_pass_at_k
    from mixpref.evaluation.statistics import pass_at_k

    found = gather(made_run)
    problems = sum(found.solved.values())
    for k in (1, 3):
        mine = sum(count * pass_at_k(n, right, k) for (n, right), count in found.solved.items()) / problems
        assert mine == pytest.approx(sampled_pass_at_k(made_run, k))


def test_findings_need_no_gallery(made_run: Run) -> None:
    found = gather(made_run, pairs=0, changes=0)
    assert isinstance(found, Findings)
    assert found.gallery == ()
    assert found.changes[0].shown_fixed == ()
    assert found.pairs == {"correctness": 24, "format": 4}
