"""A Qwen2-VL with random weights that servers load as it is, and the processor that it comes with.

Its tokens are single characters: every text has one spelling in tokens, so that an answer can be cut at any place and
gone on from. Special tokens but the end of turn are never said, and its choices are far from ties.
"""

from __future__ import annotations

import string
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import transformers as tf
from tokenizers import Tokenizer, decoders, models

CONTEXT = 1024
"""Tokens of a prompt and its response."""
_IMAGE = ("<|vision_start|>", "<|image_pad|>", "<|vision_end|>", "<|video_pad|>")
_SPECIALS = ("<pad>", "<end>", "<unk>", "<user>", "<assistant>", *_IMAGE)
_CHARACTERS = ("\n", " ", *string.ascii_letters, *string.digits, *string.punctuation)
_TEMPLATE = (
    "{%- for message in messages -%}{{- '<' + message['role'] + '>' -}}"
    "{%- if message['content'] is string -%}{{- message['content'] -}}"
    "{%- else -%}{%- for part in message['content'] -%}"
    "{%- if part['type'] == 'image' -%}{{- '<|vision_start|><|image_pad|><|vision_end|>' -}}"
    "{%- else -%}{{- part['text'] -}}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}{{- '<end>' -}}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<assistant>' -}}{%- endif -%}"
)
_PATCH = 64
_WIDTH, _HEADS = 128, 4


class _Processor(tf.Qwen2VLProcessor):
    """Does without a processor of videos, which needs torchvision."""

    def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
        if argument_name == "video_processor":
            return None
        return super().check_argument_for_proper_class(argument_name, argument)


def tiny_qwen() -> tuple[Any, Any]:
    """The model in float32, always the same, and its processor. A picture of 256 x 256 pixels makes four tokens."""
    tokenizer = _tokenizer()
    pictures = tf.Qwen2VLImageProcessorPil(
        patch_size=_PATCH, merge_size=2, min_pixels=(2 * _PATCH) ** 2, max_pixels=(4 * _PATCH) ** 2
    )
    processor = _Processor(
        image_processor=pictures,
        tokenizer=tokenizer,
        video_processor=SimpleNamespace(num_frames=1, fps=1, model_input_names=[]),
        chat_template=_TEMPLATE,
    )
    torch.manual_seed(0)
    model = tf.Qwen2VLForConditionalGeneration(_config(tokenizer)).float().eval()
    _spread(model, [tokenizer.convert_tokens_to_ids(token) for token in _SPECIALS if token != "<end>"])
    model.generation_config = tf.GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    return model, processor


def save_tiny_qwen(folder: Path) -> Path:
    """Save the model and its processor as they are published, so that a server finds the processor of videos, too."""
    model, processor = tiny_qwen()
    model.save_pretrained(folder)
    processor.tokenizer.save_pretrained(folder)
    processor.image_processor.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(_TEMPLATE)
    return folder


def _tokenizer() -> Any:
    pieces = [*_SPECIALS, *_CHARACTERS]
    tokenizer = Tokenizer(
        models.BPE(vocab={piece: index for index, piece in enumerate(pieces)}, merges=[], unk_token="<unk>")
    )
    tokenizer.decoder = decoders.Fuse()
    start, image, end, video = _IMAGE
    return tf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<end>",
        unk_token="<unk>",
        extra_special_tokens={
            "vision_start_token": start,
            "image_token": image,
            "vision_end_token": end,
            "video_token": video,
            "user_token": "<user>",
            "assistant_token": "<assistant>",
        },
        clean_up_tokenization_spaces=False,
        padding_side="left",
        model_max_length=CONTEXT,
    )


def _config(tokenizer: Any) -> Any:
    text = {
        "hidden_size": _WIDTH,
        "intermediate_size": 2 * _WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": _HEADS,
        "num_key_value_heads": 2,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": CONTEXT,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 6, 6]},
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "tie_word_embeddings": False,
    }
    vision = {"depth": 2, "embed_dim": 64, "num_heads": 2, "mlp_ratio": 2, "patch_size": _PATCH, "hidden_size": _WIDTH}
    return tf.Qwen2VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=tokenizer.image_token_id,
        video_token_id=tokenizer.video_token_id,
        vision_start_token_id=tokenizer.vision_start_token_id,
        vision_end_token_id=tokenizer.vision_end_token_id,
        tie_word_embeddings=False,
    )


@torch.no_grad()
def _spread(model: Any, unsaid: list[int]) -> None:
    """Large weights, and some tokens that are never said.

    The first feature is the same at all places: nothing writes to it, and it speaks against the `unsaid` alone.
    """
    text = model.model.language_model
    for name, weight in model.named_parameters():
        if weight.ndim > 1:
            weight.normal_(std=weight.shape[-1] ** -0.5 if weight.ndim == 2 else 0.02)
        if "q_proj" in name or "k_proj" in name:
            weight *= 2
    for layer in text.layers:
        layer.self_attn.o_proj.weight[0] = 0
        layer.mlp.down_proj.weight[0] = 0
    text.embed_tokens.weight.normal_()
    text.embed_tokens.weight[:, 0] = 4
    last = model.model.visual.merger.mlp[2]
    last.weight *= 4
    last.weight[0] = 0
    last.bias[0] = 4
    model.lm_head.weight *= 4
    model.lm_head.weight[:, 0] = 0
    model.lm_head.weight[unsaid, 0] = -50
