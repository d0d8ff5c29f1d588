"""What is read from a run directory, written here by the same store that the stages use."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from mixpref.errors import MixprefError
from mixpref.records import Score
from mixpref.reporting.gather import Findings, curve, gather, read_log, read_scores
from mixpref.rundir import Run
from mixpref.settings import EvaluationRecipe


def test_everything_is_gathered(made_run: Run) -> None:
    found = gather(made_run)
    assert (found.train, found.held_out, found.seed, found.name) == (12, 10, 3, "small")
    assert found.path == str(made_run.path)
    assert (found.all_pairs, found.all_items) == (28, 20)
    assert (len(found.gallery.pairs), len(found.gallery.items)) == (28, 20)
    assert sum(found.sampled.finishes.values()) == 48
    assert [(each.benchmark, each.style) for each in found.changes] == [("world", "cot"), ("world", "direct")]
    assert [row.line for row in found.rejected] == [7, 9]
    assert found.unused == 5
    assert list(found.logs) == ["mpo"]
    assert {score.model for score in found.scores} == {"base", "mpo"}
    assert "problems/train/manifest.json" in found.manifests
    assert "seed: 3" in found.recipe


def test_an_empty_run_has_findings(empty_run: Run) -> None:
    found = gather(empty_run)
    assert (found.train, found.held_out, found.scores, found.changes) == (None, None, (), ())
    assert (found.all_pairs, found.all_items, found.gallery.pairs) == (0, 0, [])


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


def test_details_of_scores_come_back_as_they_were(made_run: Run, score: Callable[..., Score]) -> None:
    asked = replace(
        score("dpo", "cot", 3.5, "mmhal"),
        metric="mean score",
        scale=6.0,
        details=(("hallucinated", 0.25),),
        judge="j 1",
    )
    (made_run.scores_dir / "dpo.json").write_text(json.dumps([asdict(asked)]))
    assert asked in read_scores(made_run)


def test_pass_at_1_is_the_share_of_right_samples(made_run: Run) -> None:
    from mixpref.evaluation.stage import sampled_pass_at_k
    from mixpref.evaluation.statistics import pass_at_k

    solved = gather(made_run).sampled.solved
    problems = sum(solved.values())
    for k in (1, 3):
        mine = sum(count * pass_at_k(n, right, k) for (n, right), count in solved.items()) / problems
        assert mine == pytest.approx(sampled_pass_at_k(made_run, k))


def test_findings_need_no_gallery(made_run: Run) -> None:
    found = gather(made_run, pairs=0, items=0)
    assert isinstance(found, Findings)
    assert (found.gallery.pairs, found.gallery.items, found.gallery.pictures) == ([], [], {})
    assert (found.all_pairs, found.all_items) == (28, 20)


def test_the_command_that_made_the_scores(made_run: Run) -> None:
    assert gather(made_run).measured.startswith(f"mixpref evaluate {made_run.path} --roles base")
    evaluation = EvaluationRecipe(held_out=False, benchmarks=("pope", "mmlu"), models=("some/model", "a b"))
    foreign = Run(made_run.path, replace(made_run.recipe, evaluation=evaluation))
    assert gather(foreign).measured == (
        f"mixpref evaluate --benchmarks pope,mmlu --model some/model --model 'a b' --output {made_run.path}"
    )


def test_reasons_with_ends_of_lines_that_are_none_in_json(made_run: Run) -> None:
    rejected = {"source_file": "rows.jsonl", "line": 3, "kind": "no answer", "reason": "one\u2028two"}
    made_run.rejects_file.write_text(json.dumps(rejected, ensure_ascii=False) + "\n", encoding="utf-8")
    assert [row.reason for row in gather(made_run).rejected] == ["one\u2028two"]
