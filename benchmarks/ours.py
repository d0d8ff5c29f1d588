"""mixpref's shared step as sides of `benchmarks.step`; all that the benchmark knows of the step's interface is here."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from benchmarks.models import Setting, Sizes, fill_adapters, lora_config
from mixpref.training import shared
from mixpref.training.data import PairDataset
from mixpref.training.objective import mpo_loss
from mixpref.training.packing import PackedCollator


class OurSide:
    """`step()` leaves the gradients of a step in `model`."""

    def __init__(
        self,
        policy: Any,
        reference: Any,
        processor: Any,
        rows: list[dict[str, Any]],
        setting: Setting,
        sizes: Sizes,
        kind: str,
    ):
        """reference: None with LoRA, where it is the policy without its adapters.

        kind: `in_step`: the reference is computed in the step; `cached`: its log-probabilities are known; `features`:
        so are the vision features, where the vision tower is frozen.
        """
        if setting.lora:
            from peft import get_peft_model

            policy = get_peft_model(policy, lora_config(sizes))
            fill_adapters(policy)
        for model in filter(None, (policy, reference)):
            shared.share_prefixes(model)
        if setting.checkpointing:
            policy.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        self.model, self._reference = policy.train(), reference
        pairs = PairDataset(rows, processor)
        if pairs.refused:
            raise AssertionError(f"a row of the benchmark was refused: {pairs.refused[0].reason}")
        self.batch = PackedCollator(processor)([pairs[index] for index in range(len(pairs))])
        self.pixels = self.batch["inputs"]["pixel_values"]
        # As MPOTrainer does: what a frozen tower sees is the same for policy and reference.
        self._alike = shared.sees_alike(policy)
        if kind == "features":
            self.batch["features"] = shared.image_features(policy, self.batch)
            self._alike = False
        self._known: Tensor | None = None
        if kind != "in_step":
            self._known = self.reference_logps()
            self._reference = None

    def step(self) -> float:
        """A step over all pairs; the loss."""
        chosen, rejected = self.batch["chosen"], self.batch["rejected"]
        if self._alike:
            self.batch["features"] = shared.image_features(self.model, self.batch)
        old = self.reference_logps()
        new, lengths = self.policy_logps()
        loss, _ = mpo_loss(new[chosen], new[rejected], old[chosen], old[rejected], lengths[chosen], delta=0.0)
        loss.backward()
        return loss.item()

    def policy_logps(self) -> tuple[Tensor, Tensor]:
        """Log-probabilities [U] of the responses, and their tokens [U]."""
        return shared.response_logps(self.model, self.batch)

    @torch.no_grad()
    def reference_logps(self) -> Tensor:
        """[U], known or computed."""
        if self._known is not None:
            return self._known
        if self._reference is not None:
            return shared.response_logps(self._reference, self.batch)[0]
        with self.model.disable_adapter():
            return shared.response_logps(self.model, self.batch)[0]

    def sequences(self) -> list[tuple[list[int], int]]:
        """The tokens of each chosen and each rejected sequence, pair by pair, and how many of them are scored."""
        row = self.batch["inputs"]["input_ids"][0].tolist()
        found = []
        for group in self.batch["layout"].groups:
            found += [(row[slice(*group.prompt)] + row[begin:end], end - begin) for begin, end in group.responses]
        pairs = zip(self.batch["chosen"].tolist(), self.batch["rejected"].tolist(), strict=True)
        return [found[response] for pair in pairs for response in pair]
