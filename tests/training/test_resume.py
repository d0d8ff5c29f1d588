import copy
import json

import pytest
import torch
from transformers import Trainer

from mixpref.errors import MixprefError
from mixpref.training import checkpoints
from mixpref.training.trainer import MPOConfig, MPOTrainer


@pytest.fixture
def build(model, processor, rows):
    def build(folder, **settings):
        defaults = {
            "output_dir": str(folder),
            "batch_size": 4,
            "per_device_train_batch_size": 2,
            "learning_rate": 1e-2,
            "num_train_epochs": 2,
            "save_steps": 1,
            "disable_tqdm": True,
            "use_cpu": True,
        }
        config = MPOConfig(**{**defaults, **settings})
        return MPOTrainer(copy.deepcopy(model), config, train_dataset=rows, processing_class=processor)

    return build


@pytest.fixture
def finished(build, tmp_path):
    trainer = build(tmp_path / "whole", logging_steps=2)
    trainer.train()
    return trainer


def logs(trainer):
    return [
        {name: value for name, value in entry.items() if name != "grad_norm"}
        for entry in trainer.state.log_history
        if "loss" in entry
    ]


@pytest.mark.parametrize("step", [1, 2, 3, 5])
def test_resumed_equals_uninterrupted(build, finished, tmp_path, step):
    """6 steps in two epochs, logged every second one: within an epoch, at its end, and between two logs."""
    resumed = build(tmp_path / "again", logging_steps=2)
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / f"checkpoint-{step}"))
    assert len(logs(resumed)) == 3
    for left, right in zip(logs(resumed), logs(finished), strict=True):
        assert left == pytest.approx(right, rel=1e-6)
    assert resumed.delta.state_dict() == pytest.approx(finished.delta.state_dict(), rel=1e-6)
    assert resumed.delta.count == finished.delta.count == 44
    assert resumed.tokens == finished.tokens
    for left, right in zip(resumed.model.parameters(), finished.model.parameters(), strict=True):
        torch.testing.assert_close(left, right, rtol=1e-6, atol=1e-7)


def test_the_last_complete_checkpoint_is_taken(build, finished, tmp_path):
    folder = tmp_path / "whole"
    (folder / "checkpoint-6" / checkpoints.STATE).unlink()
    (folder / "checkpoint-5" / checkpoints.STATE).unlink()
    assert [each.name for each in checkpoints.complete(folder)] == [f"checkpoint-{step}" for step in range(1, 5)]
    resumed = build(folder, logging_steps=2)
    resumed.train(resume_from_checkpoint=True)
    assert logs(resumed)[-1] == pytest.approx(logs(finished)[-1], rel=1e-6)
    with pytest.raises(MixprefError, match="no complete checkpoint"):
        build(tmp_path / "nothing").train(resume_from_checkpoint=True)
    with pytest.raises(MixprefError, match="is no complete checkpoint"):
        build(folder).train(resume_from_checkpoint=str(folder / "checkpoint-9"))


def test_weights_come_back_whole(build, finished, model, tmp_path):
    folder = tmp_path / "whole" / "checkpoint-6"
    fresh = copy.deepcopy(model)
    checkpoints.load_weights(fresh, folder)
    for (name, left), right in zip(fresh.named_parameters(), finished.model.parameters(), strict=True):
        assert torch.equal(left, right), name
    assert not torch.equal(fresh.lm_head.weight, model.lm_head.weight)


def test_transformers_own_resume_would_restore_nothing(build, finished, model, tmp_path):
    """The reason for `load_weights`. If this fails, transformers has mended it and `load_weights` may go."""
    trainer = build(tmp_path / "again")
    Trainer._load_from_checkpoint(trainer, str(tmp_path / "whole" / "checkpoint-6"))
    restored = [
        torch.equal(left, right)
        for left, right in zip(trainer.model.parameters(), finished.model.parameters(), strict=True)
    ]
    assert not all(restored)


def test_a_checkpoint_of_another_model_is_refused(build, finished, tmp_path):
    from safetensors.torch import load_file, save_file

    file = tmp_path / "whole" / "checkpoint-6" / "model.safetensors"
    tensors = load_file(file)
    tensors.pop(next(name for name in tensors if "down_proj" in name))
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(MixprefError, match="1 missing keys"):
        build(tmp_path / "again").train(resume_from_checkpoint=str(file.parent))


def test_state_is_plain_json(finished, tmp_path):
    state = json.loads((tmp_path / "whole" / "checkpoint-1" / checkpoints.STATE).read_text())
    assert state["delta"]["count"] == 8
    # Step 1 is not logged yet.
    assert state["sums"]["pairs"] == 4
    assert json.loads((tmp_path / "whole" / "checkpoint-2" / checkpoints.STATE).read_text())["sums"]["pairs"] == 0
