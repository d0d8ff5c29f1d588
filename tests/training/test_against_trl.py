"""The plain step against TRL's DPOTrainer, whose recipe for MPO is `["sigmoid", "bco_pair", "sft"]` without delta."""

import copy
import io

import pytest
import torch
from PIL import Image

from mixpref.training.data import PairDataset
from mixpref.training.objective import mpo_loss
from mixpref.training.plain import PlainCollator, response_logps

from .conftest import TEMPLATE, make_row, tiny_processor

pytestmark = pytest.mark.slow
trl = pytest.importorskip("trl", reason="TRL is not installed: pip install 'mixpref[peers]'")


@pytest.fixture(scope="session")
def processor():
    # TRL also teaches what the template writes after the end of the turn.
    processor = tiny_processor()
    processor.chat_template = TEMPLATE.replace("<end>\n", "<end>")
    assert processor.chat_template != TEMPLATE
    return processor


@pytest.mark.parametrize("number", [1, 8])
def test_loss_and_gradients_equal_trl(model, processor, tmp_path, number):
    row = make_row(number)
    opened = {**row, "images": [Image.open(io.BytesIO(data)).convert("RGB") for data in row["images"]]}
    ours = copy.deepcopy(model).double().eval()
    reference = copy.deepcopy(ours)
    with torch.no_grad():
        reference.get_input_embeddings().weight.mul_(1.2)
    theirs = copy.deepcopy(ours)

    batch = PlainCollator(processor)([PairDataset([row], processor)[0]])
    policy, lengths = response_logps(ours, batch)
    with torch.no_grad():
        old, _ = response_logps(reference, batch)
    loss, parts = mpo_loss(policy[:1], policy[1:], old[:1], old[1:], lengths[:1], delta=0.0)
    loss.backward()
    assert parts.chosen_rewards.abs().item() > 1e-3

    from datasets import Dataset

    config = trl.DPOConfig(
        output_dir=str(tmp_path),
        loss_type=["sigmoid", "bco_pair", "sft"],
        loss_weights=[0.8, 0.2, 1.0],
        beta=0.1,
        max_length=None,
        report_to="none",
        bf16=False,
        gradient_checkpointing=False,
        use_cpu=True,
    )
    trainer = trl.DPOTrainer(
        theirs,
        ref_model=copy.deepcopy(reference),
        args=config,
        train_dataset=Dataset.from_list([{key: opened[key] for key in ("prompt", "chosen", "rejected", "images")}]),
        processing_class=processor,
    )
    inputs = trainer.data_collator([copy.deepcopy(opened)])
    other = trainer._compute_loss(trainer.model, inputs, return_outputs=False)
    other.backward()

    assert loss.item() == pytest.approx(other.item(), rel=1e-5)
    gradients = dict(trainer.model.named_parameters())
    compared = 0
    # A key bias moves all scores of a row alike: its gradient is nothing but rounding, and TRL's head is float32.
    least = 1e-4 * torch.stack([weight.grad.norm() for weight in ours.parameters() if weight.grad is not None]).max()
    for name, weight in ours.named_parameters():
        if weight.grad is None:
            assert gradients[name].grad is None
            continue
        compared += 1
        error = (weight.grad - gradients[name].grad).norm() / weight.grad.norm().clamp_min(least)
        assert error < 1e-4, name
    assert compared > 20
