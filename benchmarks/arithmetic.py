"""The ceiling: by how much a step of TRL has more arithmetic than one in which nothing is computed twice.

Counted are matrix products and attention, from the shapes: 2 operations a multiplication, a forward pass once, a
backward pass twice - once where weights are frozen, as only their inputs' gradients are computed - and once more what
gradient checkpointing computes again. Attention is counted where a token sees another, not over the whole square.

Time is not proportional to operations, so a measured ratio can lie above the ceiling.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.models import Setting, Sizes


@dataclass(frozen=True, kw_only=True)
class Work:
    """Of a step, in floating-point operations."""

    language: float
    vision: float
    """The projector included."""
    head: float

    @property
    def total(self) -> float:
        return self.language + self.vision + self.head

    def __add__(self, other: Work) -> Work:
        return Work(
            language=self.language + other.language, vision=self.vision + other.vision, head=self.head + other.head
        )


def trl_work(setting: Setting, sizes: Sizes) -> Work:
    """Every pair is two sequences, each with its prompt and its image, for the policy and for the reference.

    TRL's head computes its logits again in the backward pass.
    """
    sequences = 2 * setting.chosen * setting.rejected
    prompt, response = setting.prompt(sizes), setting.response
    rows = sequences * (prompt + response)
    seen = sequences * _causal(prompt + response)
    return _work(setting, sizes, rows, seen, sequences * response, visions=sequences, policy=True, again=1) + _work(
        setting, sizes, rows, seen, sequences * response, visions=sequences, policy=False
    )


def least_work(setting: Setting, sizes: Sizes, side: str) -> Work:
    """The prompt, its image and every different response once for each model.

    side: `in_step`: the reference is computed, too, its vision features only where it has other weights; `cached`: it
    is not; `features`: nor are the vision features.
    """
    responses = setting.chosen + setting.rejected
    prompt, response = setting.prompt(sizes), setting.response
    rows = prompt + responses * response
    seen = _causal(prompt) + responses * (response * prompt + _causal(response))
    work = _work(setting, sizes, rows, seen, responses * response, visions=side != "features", policy=True)
    if side == "in_step":
        visions = 0 if setting.lora else 1
        work += _work(setting, sizes, rows, seen, responses * response, visions=visions, policy=False)
    return work


def _causal(tokens: int) -> float:
    return tokens * (tokens + 1) / 2


def _work(
    setting: Setting,
    sizes: Sizes,
    rows: float,
    seen: float,
    scored: float,
    visions: float,
    policy: bool,
    again: int = 0,
) -> Work:
    """Of one model.

    rows: tokens in the language model. seen: pairs of tokens of which one attends to the other. scored: tokens whose
    logits are computed. visions: how often the prompt's image is computed. policy: whether there is a backward pass.
    again: how often the head is computed again in it.
    """
    recompute = int(policy and setting.checkpointing)
    trained = 3 if policy else 1
    frozen = 2 if policy else 1
    weights = trained if not setting.lora else frozen
    width = sizes.hidden // sizes.heads
    kv = sizes.kv_heads * width
    shapes = [(sizes.hidden, sizes.hidden)] * 2 + [(sizes.hidden, kv)] * 2 + [(sizes.hidden, sizes.inner)] * 3
    linear = 2 * rows * sum(a * b for a, b in shapes)
    attention = 4 * seen * sizes.hidden
    adapters = 2 * rows * sizes.rank * sum(a + b for a, b in shapes) * (setting.lora and policy)
    language = sizes.layers * (
        linear * (weights + recompute) + attention * (trained + recompute) + adapters * (trained + recompute)
    )

    tokens = sizes.patches + 1
    layer = 2 * tokens * 12 * sizes.vision**2 + 4 * tokens**2 * sizes.vision
    # The gradient of pixels is not computed.
    patches = 2 * sizes.patches * 3 * sizes.patch**2 * sizes.vision
    projector = 2 * sizes.tile_tokens * (4 * sizes.vision * sizes.hidden + sizes.hidden**2)
    learns = policy and not setting.lora
    vision = (sizes.vision_layers * layer + projector) * (3 if learns else 1)
    vision += sizes.vision_layers * layer * recompute * learns + patches * (2 if learns else 1)
    head = 2 * scored * sizes.hidden * sizes.vocabulary * (weights + again)
    return Work(language=language, vision=visions * setting.tiles * vision, head=head)
