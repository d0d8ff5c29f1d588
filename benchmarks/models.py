"""What `benchmarks.step` measures on: a model of the InternVL architecture with random weights, its processor, rows.

Both sides are given the same rows and make their inputs of them with this processor, so that what reaches the models
are the same tokens and pixels. Nothing is downloaded, and torchvision is not needed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
import transformers
from PIL import Image
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from torch import nn

# Nothing follows the end of the turn: TRL would teach that, too, and the responses would not be the same tokens.
TEMPLATE = (
    "{%- for message in messages -%}{{- '<' + message['role'] + '>' -}}"
    "{%- for part in message['content'] -%}"
    "{%- if part['type'] == 'image' -%}{{- '<IMG_CONTEXT>' -}}{%- else -%}{{- part['text'] -}}{%- endif -%}"
    "{%- endfor -%}{{- '<end>' -}}{%- endfor -%}"
    "{%- if add_generation_prompt -%}<assistant>{%- endif -%}"
)
# <user>, the image's two marks, <end>, <assistant>.
_FRAME = 5


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """A model. The defaults give the vision tower about 40 % of the work, the head 2 %, as far as TRL computes them."""

    tile: int = 448
    """Side of the square that the vision tower sees, in pixels."""
    patch: int = 14
    vision: int = 192
    """Width of the vision tower."""
    vision_layers: int = 5
    vision_heads: int = 3
    hidden: int = 384
    """Width of the language model."""
    inner: int = 1024
    layers: int = 8
    heads: int = 6
    kv_heads: int = 2
    vocabulary: int = 16384
    text: int = 64
    """Tokens of a prompt besides those of its images."""
    rank: int = 16
    """Of the LoRA adapters."""

    @property
    def patches(self) -> int:
        """Of a tile; the tower adds its class token."""
        return (self.tile // self.patch) ** 2

    @property
    def tile_tokens(self) -> int:
        """What the language model sees of a tile."""
        return self.patches // 4


FULL = Sizes()
TINY = Sizes(
    tile=16,
    patch=2,
    vision=16,
    vision_layers=1,
    vision_heads=2,
    hidden=32,
    inner=48,
    layers=2,
    heads=4,
    vocabulary=512,
    text=16,
    rank=4,
)
"""For a test of the benchmark itself: all of it in seconds."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One prompt and its pairs."""

    tiles: int
    """Of the prompt's image, that of the whole image included."""
    response: int
    """Tokens of each response, the end of turn included."""
    chosen: int = 1
    rejected: int = 1
    """Different responses; each chosen one makes a pair with each rejected one."""
    lora: bool = False
    """Adapters on the language model's projections, all else frozen; otherwise everything is trained."""
    checkpointing: bool = False

    def prompt(self, sizes: Sizes) -> int:
        """Tokens of the prompt, images included."""
        return self.tiles * sizes.tile_tokens + sizes.text


SETTINGS = {
    "S1": Setting(tiles=4, response=128),
    "S2": Setting(tiles=8, response=256),
    "K8": Setting(tiles=4, response=128, chosen=3, rejected=5),
    "S1-checkpointing": Setting(tiles=4, response=128, checkpointing=True),
    "S1-lora": Setting(tiles=4, response=128, lora=True),
}


class _Processor(transformers.InternVLProcessor):
    """Without the processor of videos, which needs torchvision."""

    def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
        if argument_name == "video_processor":
            return None
        return super().check_argument_for_proper_class(argument_name, argument)


def make_processor(sizes: Sizes) -> Any:
    """Bytes are tokens; an image more than a tile wide is cut into tiles, with one of the whole besides."""
    named = {f"{name}_token": f"<{name}>" for name in ("user", "assistant", "video")}
    named |= {f"{place}_image_token": mark for place, mark in (("start", "<img>"), ("end", "</img>"))}
    named |= {"context_image_token": "<IMG_CONTEXT>"}
    pieces = ["<pad>", "<end>", *named.values(), *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(BPE(vocab={piece: index for index, piece in enumerate(pieces)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    square = {"height": sizes.tile, "width": sizes.tile}
    return _Processor(
        image_processor=transformers.GotOcr2ImageProcessorPil(size=square, min_patches=1, max_patches=12),
        tokenizer=transformers.PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<end>", extra_special_tokens=named
        ),
        image_seq_length=sizes.tile_tokens,
        chat_template=TEMPLATE,
        video_processor=SimpleNamespace(num_frames=1, fps=1, model_input_names=[]),
    )


def make_model(sizes: Sizes, processor: Any) -> Any:
    """In float32, in training mode, without any dropout, always the same."""
    torch.manual_seed(0)
    tokenizer = processor.tokenizer
    vision = transformers.InternVLVisionConfig(
        hidden_size=sizes.vision,
        intermediate_size=4 * sizes.vision,
        num_hidden_layers=sizes.vision_layers,
        num_attention_heads=sizes.vision_heads,
        image_size=sizes.tile,
        patch_size=sizes.patch,
    )
    text = transformers.Qwen2Config(
        hidden_size=sizes.hidden,
        intermediate_size=sizes.inner,
        num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads,
        num_key_value_heads=sizes.kv_heads,
        vocab_size=sizes.vocabulary,
        max_position_embeddings=8192,
        tie_word_embeddings=True,
        # Large enough for a token that sees what it should not to show in the gradients.
        initializer_range=0.05,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    config = transformers.InternVLConfig(
        vision_config=vision,
        text_config=text,
        image_token_id=tokenizer.context_image_token_id,
        image_seq_length=sizes.tile_tokens,
        tie_word_embeddings=True,
    )
    model = transformers.InternVLForConditionalGeneration(config).float().train()
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model


def make_reference(sizes: Sizes, processor: Any) -> Any:
    """The policy's model with larger embeddings: with equal models, most of the loss would have no part in the test."""
    model = make_model(sizes, processor).eval().requires_grad_(False)
    model.get_input_embeddings().weight.mul_(1.05)
    return model


def lora_config(sizes: Sizes) -> Any:
    """Of the adapters. The vision tower has projections of the same names, so the pattern names the language model."""
    from peft import LoraConfig

    names = "q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj"
    return LoraConfig(r=sizes.rank, lora_alpha=2 * sizes.rank, target_modules=rf".*language_model.*\.({names})")


@torch.no_grad()
def fill_adapters(model: nn.Module) -> None:
    """Fill both halves of every adapter: as they start, the policy would be the reference."""
    generator = torch.Generator().manual_seed(0)
    for _, weight in sorted(_adapters(model)):
        weight.normal_(std=0.05, generator=generator)


def _adapters(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    return ((name, weight) for name, weight in model.named_parameters() if "lora_" in name)


def make_rows(setting: Setting, sizes: Sizes) -> list[dict[str, Any]]:
    """The pairs in TRL's format: one picture of noise, one question, responses of random letters."""
    draw = random.Random(0)
    # A picture of n tiles, of which one is of the whole picture.
    size = (sizes.tile * (setting.tiles - 1), sizes.tile)
    image = Image.frombytes("RGB", size, draw.randbytes(3 * size[0] * size[1]))

    def letters(count: int) -> str:
        return "".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=count))

    def say(role: str, text: str) -> list[dict[str, Any]]:
        return [{"role": role, "content": text}]

    prompt = say("user", letters(sizes.text - _FRAME))
    said = [say("assistant", letters(setting.response - 1)) for _ in range(setting.chosen + setting.rejected)]
    return [
        {"prompt": prompt, "chosen": chosen, "rejected": rejected, "images": [image]}
        for chosen in said[: setting.chosen]
        for rejected in said[setting.chosen :]
    ]
