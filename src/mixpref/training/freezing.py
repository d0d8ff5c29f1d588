"""What of a model is trained: all of it, all but some parts, or an adapter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from mixpref.errors import MixprefError

PARTS: dict[str, tuple[str, ...]] = {
    "projector": ("multi_modal_projector", "connector", "merger", "deepstack_merger_list", "aligner"),
    "vision": ("vision_tower", "vision_model", "visual", "vision_encoder", "vision_backbone", "image_newline"),
    "embeddings": ("embed_tokens", "lm_head"),
    "language": ("language_model", "text_model", "lm_head", "embed_tokens"),
}
"""The names that modules of each part have in transformers. A projector may lie within the vision tower (Qwen)."""


def freeze(model: nn.Module, parts: Sequence[str]) -> None:
    """Take the parts' parameters out of the training. Raises MixprefError where the model has no such part."""
    for part in parts:
        found = [weight for name, weight in model.named_parameters() if part in parts_of(name)]
        if not found:
            names = ", ".join(PARTS[part])
            raise MixprefError(f"freeze: {type(model).__name__} has no {part}: nothing in it is named {names}")
        for weight in found:
            weight.requires_grad_(False)


def parts_of(parameter: str) -> set[str]:
    """The parts that a parameter belongs to, by its dotted name."""
    words = set(parameter.split("."))
    for part in ("projector", "vision"):
        if words & set(PARTS[part]):
            return {part}
    return {part for part in ("embeddings", "language") if words & set(PARTS[part])}


def adapted(model: nn.Module, peft_config: Any) -> nn.Module:
    """The model with an adapter of peft, which alone is trained. Raises MixprefError where peft is not installed."""
    try:
        from peft import get_peft_model
    except ImportError:
        raise MixprefError("a peft_config needs peft: pip install 'mixpref[peft]'") from None
    return get_peft_model(model, peft_config)
