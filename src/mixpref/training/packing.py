"""Micro-batches of the shared step: all prompts, each with its different responses behind it, in one row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mixpref.training.data import Example, process, response_key, response_kind
from mixpref.training.prefix import Branches, Layout

Batch = dict[str, Any]
"""`inputs`: what the model takes, one row of S tokens. `layout`: where in it what stands; `group_keys`: hashes of its
prompts and their images. `predicts`, `targets` [T]:
the places that predict the responses' tokens, and these tokens; `owners` [T]: the response, of U, that each is part of.
`lengths`, `keys` [U]: the responses' tokens and hashes. `chosen`, `rejected` [B]: the responses of each pair. `tokens`
[B]: of the pair's two sequences. `counts` [B]: whether the pair has a part in the loss."""


class PackedCollator:
    """Makes a micro-batch of B examples; a prompt, its images and a response that occur several times occur once.

    The row has no padding. Prompts stand in the order in which they first come, and so do a prompt's responses.
    """

    def __init__(self, processor: Any) -> None:
        self.processor = processor

    def __call__(self, examples: Sequence[Example]) -> Batch:
        firsts: dict[int, Example] = {}
        said: dict[int, dict[tuple[int, ...], int]] = {}
        for each in examples:
            firsts.setdefault(each.group, each)
            for response in (each.chosen, each.rejected):
                said.setdefault(each.group, {}).setdefault(response, len(said[each.group]))
        prompts = process(
            self.processor, [each.prompt for each in firsts.values()], [each.images for each in firsts.values()]
        )
        ids, mask = prompts.pop("input_ids"), prompts.pop("attention_mask").bool()
        row: list[Tensor] = []
        kinds: dict[str, list[Tensor]] = {name: [] for name, value in prompts.items() if _per_token(value, ids)}
        predicts: list[Tensor] = []
        groups: list[Branches] = []
        numbers: dict[Any, int] = {}
        lengths: list[int] = []
        place = 0
        for turn, (group, first) in enumerate(firsts.items()):
            prompt = ids[turn][mask[turn]]
            start, end = place, place + len(prompt)
            row.append(prompt)
            for name, parts in kinds.items():
                parts.append(prompts[name][turn][mask[turn]])
            place, spans = end, []
            for response in said[group]:
                numbers[group, response] = len(lengths)
                lengths.append(len(response))
                spans.append((place, place + len(response)))
                row.append(torch.tensor(response))
                # The first token is predicted by the prompt's last, each other one by the token before it.
                predicts.append(torch.tensor([end - 1, *range(place, place + len(response) - 1)]))
                for name, parts in kinds.items():
                    parts.append(torch.full((len(response),), response_kind(self.processor, name), dtype=ids.dtype))
                place += len(response)
            groups.append(Branches(prompt=(start, end), responses=tuple(spans), images=len(first.images)))
        inputs: dict[str, Any] = {"input_ids": torch.cat(row)[None]}
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        for name, value in prompts.items():
            if name in kinds:
                inputs[name] = torch.cat(kinds[name]).to(value.dtype)[None]
            else:
                inputs[name] = self._in_one_row(name, value)
        prompt_tokens = {group: int(mask[turn].sum()) for turn, group in enumerate(firsts)}
        pairs = [(each, (each.group, each.chosen), (each.group, each.rejected)) for each in examples]
        return {
            "inputs": inputs,
            "layout": Layout(tuple(groups)),
            "predicts": torch.cat(predicts),
            "targets": torch.cat([torch.tensor(response) for group in said for response in said[group]]),
            "owners": torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths)),
            "group_keys": [first.key for first in firsts.values()],
            "lengths": torch.tensor(lengths),
            "keys": [response_key(firsts[group].key, response) for group in said for response in said[group]],
            "chosen": torch.tensor([numbers[chosen] for _, chosen, _ in pairs]),
            "rejected": torch.tensor([numbers[rejected] for _, _, rejected in pairs]),
            "tokens": torch.tensor(
                [2 * prompt_tokens[each.group] + len(each.chosen) + len(each.rejected) for each in examples]
            ),
            "counts": torch.tensor([each.counts for each in examples]),
        }

    def _in_one_row(self, name: str, value: Any) -> Any:
        """What the processor gives of the images of several prompts, as that of one prompt.

        Most processors list all images one after the other. Those of Idefics pad them to as many for each prompt;
        images of nothing but padding are left out by the model.
        """
        nested = type(self.processor).__name__.startswith(("Idefics", "SmolVLM"))
        return value.flatten(0, 1)[None] if nested and isinstance(value, Tensor) and value.ndim >= 4 else value


def _per_token(value: Any, ids: Tensor) -> bool:
    return isinstance(value, Tensor) and value.shape == ids.shape
