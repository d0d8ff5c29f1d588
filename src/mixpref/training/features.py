"""What a frozen vision tower sees: shared by policy and reference, and kept on the disk for the next time.

A model takes the features of its images as `mm_encoder_outputs` in place of the pixels. Whatever their form, they are
one vector for each of the images' tokens, in the order of the tokens; so a prompt's are cut out of a row's by counting.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mixpref.training.packing import Batch
from mixpref.training.reference import fingerprint
from mixpref.training.shared import core, image_features, sees_alike

_WHOLE, _LISTED = "pooled", "pooled_list"
"""Names of the features in a file: some models take a tensor, others a list."""


class Features:
    """Gives the features of a micro-batch's images where nothing of seeing is trained.

    path: a directory that keeps them, as a file for each prompt, under the model's own hash; None: each micro-batch's
    are computed when it comes.
    """

    def __init__(self, policy: nn.Module, path: Path | None) -> None:
        self.frozen = sees_alike(policy)
        self._folder = path / fingerprint(policy) if path and self.frozen else None

    def __call__(self, model: nn.Module, batch: Batch) -> Any:
        """What `shared.response_logps` takes as `batch["features"]`; None where the model itself has to look."""
        if not self.frozen or "pixel_values" not in batch["inputs"]:
            return None
        if self._folder is None:
            return image_features(model, batch)
        seeing = [place for place, group in enumerate(batch["layout"].groups) if group.images]
        keys = [batch["group_keys"][place] for place in seeing]
        files = [self._folder / f"{key}.safetensors" for key in keys]
        if all(file.exists() for file in files):
            device = str(batch["inputs"]["input_ids"].device)
            return _joined([load_file(file, device=device) for file in files])
        found = image_features(model, batch)
        self._folder.mkdir(parents=True, exist_ok=True)
        for file, part in zip(files, _cut(found, self._tokens(model, batch, seeing)), strict=True):
            unfinished = file.with_name(f"{file.name}.{os.getpid()}.tmp")
            save_file(part, unfinished)
            unfinished.replace(file)
        return found

    @staticmethod
    def _tokens(model: nn.Module, batch: Batch, seeing: list[int]) -> list[int]:
        """How many tokens the images of each prompt have."""
        config = core(model).config
        token = getattr(config, "image_token_id", None) or config.image_token_index
        ids = batch["inputs"]["input_ids"][0]
        spans = [batch["layout"].groups[place].prompt for place in seeing]
        return [int((ids[start:end] == token).sum()) for start, end in spans]


def _cut(features: Any, tokens: list[int]) -> list[dict[str, Tensor]]:
    """Each prompt's part of a row's features, on the CPU."""
    pooled = features.pooler_output
    if isinstance(pooled, Tensor):
        layers = {_WHOLE: pooled.flatten(0, -2)}
    else:
        layers = {_LISTED: torch.cat([each.flatten(0, -2) for each in pooled])}
    # Qwen3-VL adds features of several layers to the text model's first ones.
    deep = getattr(features, "deepstack_features", None) or ()
    layers |= {f"deep{number:03d}": torch.cat(layer) for number, layer in enumerate(deep)}
    cut = {name: layer.detach().cpu().split(tokens) for name, layer in layers.items()}
    return [{name: parts[place].clone() for name, parts in cut.items()} for place in range(len(tokens))]


def _joined(parts: list[dict[str, Tensor]]) -> Any:
    """A row's features of its prompts' parts."""
    layers = {name: torch.cat([part[name] for part in parts]) for name in sorted(parts[0])}
    pooled = [layers.pop(_LISTED)] if _LISTED in layers else layers.pop(_WHOLE)[None]
    return SimpleNamespace(pooler_output=pooled, deepstack_features=[[layer] for layer in layers.values()])
