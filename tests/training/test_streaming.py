"""Streamed rows train as rows that are read at the start, and what is refused on the way changes no mean."""

import copy
import json
import pickle

import pytest
import torch

from mixpref.errors import MixprefError
from mixpref.sources.mmpr import MMPRRows
from mixpref.sources.unusable import Unusable
from mixpref.training import streaming
from mixpref.training.streaming import StreamedPairs
from mixpref.training.trainer import MPOConfig, MPOTrainer

from .conftest import make_row, picture


class Rows:
    """Rows by their numbers; those in `broken` are refused when they are read."""

    streamed = True

    def __init__(self, rows, broken=(), groups=None):
        self.rows, self.broken, self.read = rows, set(broken), []
        if groups is not None:
            self.groups = groups

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, number):
        self.read.append(number)
        if number in self.broken:
            raise Unusable("broken line", f"row {number} is no JSON")
        return self.rows[number]


@pytest.fixture
def build(model, processor, tmp_path):
    initial = model.double()

    def build(rows, folder="out", **settings):
        defaults = {
            "output_dir": str(tmp_path / folder),
            "batch_size": 4,
            "per_device_train_batch_size": 2,
            "reference": "in_step",
            "learning_rate": 1e-2,
            "num_train_epochs": 2,
            "warmup_steps": 0,
            "save_strategy": "no",
            "logging_steps": 1,
            "disable_tqdm": True,
            "use_cpu": True,
        }
        config = MPOConfig(**{**defaults, **settings})
        return MPOTrainer(copy.deepcopy(initial), config, train_dataset=rows, processing_class=processor)

    return build


def losses(trainer):
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def assert_equal(one, other):
    assert losses(one) == pytest.approx(losses(other), rel=1e-9)
    for left, right in zip(one.model.parameters(), other.model.parameters(), strict=True):
        torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-12)


def test_streamed_rows_train_as_rows_read_at_the_start(build, related):
    # The same groups, so the same order.
    whole = build(related)
    streamed = build(Rows(related, groups=[shape.group for shape in whole.train_dataset.shapes]))
    assert isinstance(streamed.train_dataset, StreamedPairs)
    for trainer in (whole, streamed):
        trainer.train()
    assert_equal(whole, streamed)
    assert whole.delta.state_dict() == pytest.approx(streamed.delta.state_dict())
    assert whole.tokens == streamed.tokens


def test_cached_becomes_in_step_and_is_told(build, rows, capsys):
    trainer = build(Rows(rows), reference="cached")
    assert trainer.args.reference == "in_step"
    assert "the rows are streamed: the reference is computed in each step" in capsys.readouterr().err


def test_a_row_is_read_when_its_step_comes(processor, monkeypatch):
    monkeypatch.setattr(streaming, "_SAMPLE", 2)
    rows = Rows([make_row(number) for number in range(40)])
    pairs = StreamedPairs(rows, processor)
    assert sorted(set(rows.read)) == [0, 20]
    assert len(pairs) == 40


def test_what_is_refused_drops_out_and_the_mean_is_over_the_others(build, related, capsys):
    groups = [number // 3 for number in range(11)]
    broken = build(Rows(related, broken=[1, 6], groups=groups), batch_size=11, num_train_epochs=1)
    kept = [row for number, row in enumerate(related) if number not in (1, 6)]
    kept_groups = [group for number, group in enumerate(groups) if number not in (1, 6)]
    whole = build(Rows(kept, groups=kept_groups), batch_size=9, num_train_epochs=1)
    for trainer in (broken, whole):
        trainer.train()
    assert_equal(broken, whole)
    assert broken.train_dataset.reasons() == {"broken line": 2}
    assert sorted(each.row for each in broken.train_dataset.refused) == [1, 6]
    assert "left out 2 of 11 pairs: broken line (2)" in capsys.readouterr().err


def test_a_step_that_loses_all_its_rows_changes_no_weight(build, rows, monkeypatch):
    source = Rows(rows[:8], groups=[0, 0, 0, 0, 1, 1, 1, 1])
    trainer = build(source, num_train_epochs=1, weight_decay=0.0, max_grad_norm=0.0)
    source.broken = {4, 5, 6, 7}
    trainer.train()
    assert trainer.state.global_step == 2
    assert trainer.train_dataset.reasons() == {"broken line": 4}
    assert trainer.delta.count == 8


def test_resumed_it_goes_on_without_reading_what_was_trained_on(build, rows, tmp_path):
    settings = {"save_strategy": "steps", "save_steps": 1, "num_train_epochs": 1}
    whole = build(Rows(rows, broken=[2]), "whole", **settings)
    whole.train()
    source = Rows(rows, broken=[2])
    resumed = build(source, "again", **settings)
    source.read.clear()
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-2"))
    assert len(source.read) <= 4
    assert losses(resumed) == pytest.approx(losses(whole), rel=1e-6)
    assert resumed.train_dataset.reasons() == whole.train_dataset.reasons() == {"broken line": 1}


def test_workers_change_nothing_and_their_refusals_arrive(build, rows):
    alone, helped = build(Rows(rows, broken=[3])), build(Rows(rows, broken=[3]), dataloader_num_workers=2)
    for trainer in (alone, helped):
        trainer.train()
    assert_equal(alone, helped)
    assert helped.train_dataset.reasons() == {"broken line": 1}


def test_rows_none_of_which_can_be_used_are_an_error_at_the_start(build, rows):
    with pytest.raises(MixprefError, match=r"none of the 11 preference pairs can be trained on: broken line \(11\)"):
        build(Rows(rows, broken=range(11)))


def test_memory_of_refusals_is_bounded(processor, rows, monkeypatch):
    monkeypatch.setattr(streaming, "_RECORDED", 3)
    pairs = StreamedPairs(Rows(rows), processor)
    pairs.record(streaming.Refused(row=row, reason="bad", kind="bad") for row in range(11))
    pairs.record(streaming.Refused(row=row, reason="bad", kind="bad") for row in range(11))
    assert len(pairs.refused) == 3
    assert sum(pairs.reasons().values()) == 11


def test_training_starts_from_a_meta_json(build, tmp_path):
    (tmp_path / "images").mkdir()
    lines = []
    for number in range(8):
        (tmp_path / "images" / f"{number}.png").write_bytes(picture(number))
        row = {"image": f"{number}.png", "question": "<image>\nHow many?", "chosen": f"I count {number}."}
        lines.append(json.dumps({**row, "rejected": f"It is {number + 1}"}))
    lines[3] = "{torn"
    lines[5] = lines[5].replace("5.png", "../5.png")
    (tmp_path / "a_pairs_vqa_correctness_rules.jsonl").write_text("\n".join(lines))
    entry = {"root": "images", "annotation": "a_pairs_vqa_correctness_rules.jsonl", "repeat_time": 1, "length": 8}
    (tmp_path / "meta.json").write_text(json.dumps({"a": entry}))
    rows = MMPRRows(tmp_path / "meta.json")
    trainer = build(pickle.loads(pickle.dumps(rows)), num_train_epochs=1)
    trainer.train()
    assert trainer.state.global_step == 2
    assert trainer.delta.count == 12
    assert sum(trainer.train_dataset.reasons().values()) == 2
