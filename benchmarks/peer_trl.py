"""TRL 1.16's DPOTrainer as a side of `benchmarks.step`, in the form that it has on a GPU.

TRL's head (`trl.trainer.utils.add_fused_lm_head`) computes log-probabilities in tiles, without keeping logits. Where
Triton runs (CUDA, XPU) it scores the positions of response tokens alone; elsewhere every position, prompt and image
included, which costs several times as much in the head. The switch is one function, `_use_triton(device)`, looked up in
`trl.trainer.utils`; here it says yes there. The tiles themselves are still worked by torch, since the kernels module
keeps its own `_use_triton`. How many tokens are scored is checked at the first step.

Its recipe for MPO has no reward shift, which is delta = 0. Log-probabilities of the reference are computed in the step:
for rows with images it refuses to do that in advance. The metrics that it computes for its log are part of the step.
"""

from __future__ import annotations

import copy
import tempfile
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from benchmarks.models import Setting, Sizes, fill_adapters, lora_config


class TrlSide:
    """`step()` leaves the gradients of a step in `model`."""

    def __init__(
        self,
        policy: Any,
        reference: Any,
        processor: Any,
        rows: list[dict[str, Any]],
        setting: Setting,
        sizes: Sizes,
        pairs: int,
    ):
        """reference: None with LoRA, where it is the policy without its adapters. pairs: how many are taken at a time;
        their gradients are accumulated."""
        import trl
        from datasets import Dataset

        if not trl.__version__.startswith("1.16."):
            raise SystemExit(f"the benchmark knows the insides of TRL 1.16, not of {trl.__version__}")
        self._scored: list[int] = []
        score_responses_only(self._scored)
        self._folder = tempfile.TemporaryDirectory()
        config = trl.DPOConfig(
            output_dir=self._folder.name,
            loss_type=["sigmoid", "bco_pair", "sft"],
            loss_weights=[0.8, 0.2, 1.0],
            beta=0.1,
            max_length=None,
            report_to="none",
            bf16=False,
            use_cpu=True,
            gradient_checkpointing=setting.checkpointing,
            gradient_checkpointing_kwargs={"use_reentrant": False} if setting.checkpointing else None,
        )
        self._trainer = trl.DPOTrainer(
            policy,
            ref_model=reference,
            args=config,
            train_dataset=Dataset.from_list(rows[:1]),
            processing_class=processor,
            peft_config=lora_config(sizes) if setting.lora else None,
        )
        self.model = self._trainer.model
        if setting.lora:
            fill_adapters(self.model)
        if setting.checkpointing:
            # As Trainer.train() does.
            self.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        self.model.train()
        # The collator writes into the rows.
        rows = copy.deepcopy(rows)
        batches = [rows[start : start + pairs] for start in range(0, len(rows), pairs)]
        self.inputs = [dict(self._trainer.data_collator(batch)) for batch in batches]
        self._shares = [len(batch) / len(rows) for batch in batches]

    def step(self) -> float:
        """A step over all pairs; the loss."""
        total = 0.0
        for inputs, share in zip(self.inputs, self._shares, strict=True):
            self._scored.clear()
            loss = self._trainer._compute_loss(self.model, inputs, return_outputs=False) * share
            loss.backward()
            total += loss.item()
            wanted = int(inputs["completion_mask"].sum())
            # Policy and reference.
            if self._scored != [wanted, wanted]:
                raise AssertionError(f"TRL's head scored {self._scored} tokens, the responses have {wanted}")
        return total

    def sequences(self) -> list[tuple[list[int], int]]:
        """The tokens of each chosen and each rejected sequence, pair by pair, and how many of them are scored."""
        found = []
        for inputs in self.inputs:
            rows = [
                (ids[mask.bool()].tolist(), int(scored.sum()))
                for ids, mask, scored in zip(
                    inputs["input_ids"], inputs["attention_mask"], inputs["completion_mask"], strict=True
                )
            ]
            half = len(rows) // 2
            found += [each for pair in zip(rows[:half], rows[half:], strict=True) for each in pair]
        return found

    def pixels(self) -> Tensor:
        """Of one sequence, [tiles, 3, height, width]."""
        return self.inputs[0]["pixel_values"].chunk(len(self.inputs[0]["input_ids"]))[0]


def score_responses_only(scored: list[int]) -> None:
    """Make TRL's head do what it does on a GPU; every use of it adds to `scored` how many tokens it was given."""
    from trl.kernels import ChunkedLogProbFunction
    from trl.trainer import utils

    def apply(hidden: Tensor, *rest: Any) -> Any:
        scored.append(len(hidden))
        return ChunkedLogProbFunction.apply(hidden, *rest)

    def use_triton(device: torch.device) -> bool:
        return True

    if not hasattr(utils, "_use_triton") or not hasattr(utils, "_ChunkedLogProbFunction"):
        raise SystemExit("TRL's head is not where it is in 1.16.0")
    utils._use_triton = use_triton
    utils._ChunkedLogProbFunction = SimpleNamespace(apply=apply)
