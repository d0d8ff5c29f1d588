"""A tiny random LLaVA with a tokenizer and a processor of its own, and preference rows for it."""

from __future__ import annotations

import copy
import io
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    SiglipVisionConfig,
)
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

SIZE, PATCH = 16, 8
SPECIALS = ("<pad>", "<end>", "<user>", "<assistant>", "<image>")
# As usual, something follows the end of the turn: it is no part of the response.
TEMPLATE = (
    "{%- for message in messages -%}{{- '<' + message['role'] + '>' -}}"
    "{%- for part in message['content'] -%}"
    "{%- if part['type'] == 'image' -%}<image>{%- else -%}{{- part['text'] -}}{%- endif -%}"
    "{%- endfor -%}{{- '<end>\n' -}}{%- endfor -%}"
    "{%- if add_generation_prompt -%}<assistant>{%- endif -%}"
)


def tiny_processor() -> LlavaProcessor:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: index for index, piece in enumerate((*SPECIALS, *alphabet))}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<end>",
        extra_special_tokens={"image_token": "<image>", "user": "<user>", "assistant": "<assistant>"},
    )
    pictures = SiglipImageProcessorPil(size={"height": SIZE, "width": SIZE})
    return LlavaProcessor(
        image_processor=pictures,
        tokenizer=fast,
        patch_size=PATCH,
        vision_feature_select_strategy="full",
        chat_template=TEMPLATE,
    )


def tiny_model(processor: LlavaProcessor) -> LlavaForConditionalGeneration:
    torch.manual_seed(0)
    tokenizer = processor.tokenizer
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision = SiglipVisionConfig(
        **shape, image_size=SIZE, patch_size=PATCH, vision_use_head=False, attention_dropout=0.1
    )
    text = LlamaConfig(
        **shape,
        vocab_size=len(tokenizer),
        max_position_embeddings=512,
        tie_word_embeddings=True,
        attention_dropout=0.1,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.3,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_select_strategy="full",
        vision_feature_layer=-1,
        image_seq_length=(SIZE // PATCH) ** 2,
        tie_word_embeddings=True,
    )
    model = LlavaForConditionalGeneration(config)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model


def picture(number: int) -> bytes:
    noise = random.Random(number).randbytes(20 * 12 * 3)
    stream = io.BytesIO()
    Image.frombytes("RGB", (20, 12), noise).save(stream, "PNG")
    return stream.getvalue()


def make_row(number: int, **more: Any) -> dict[str, Any]:
    """A row in TRL's format whose lengths differ from row to row."""
    row = {
        "prompt": [{"role": "user", "content": f"How many? {'x' * (number % 4)}"}],
        "chosen": [{"role": "assistant", "content": f"I count {number}.{' Yes.' * (number % 3)}"}],
        "rejected": [{"role": "assistant", "content": f"{'Well, ' * (number % 5)}{number + 1}"}],
        "images": [picture(number)],
    }
    return {**row, **more}


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Threads that wait for each other take most of the time of so small a model."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def processor() -> LlavaProcessor:
    return tiny_processor()


@pytest.fixture(scope="session")
def _made(processor: LlavaProcessor) -> LlavaForConditionalGeneration:
    return tiny_model(processor)


@pytest.fixture
def model(_made: LlavaForConditionalGeneration) -> LlavaForConditionalGeneration:
    return copy.deepcopy(_made)


@pytest.fixture(scope="session")
def row() -> Callable[..., dict[str, Any]]:
    return make_row


def related_rows() -> list[dict[str, Any]]:
    """11 pairs of 4 prompts, with responses in common; the last prompt has no picture."""
    made = [make_row(number) for number in range(11)]
    for number, row in enumerate(made):
        first = made[number - number % 3]
        row |= {"prompt": first["prompt"], "images": first["images"]}
        if number % 3 == 2:
            row["chosen"] = first["chosen"]
        if number >= 9:
            row["images"] = []
    return made


@pytest.fixture(scope="session")
def related() -> list[dict[str, Any]]:
    return related_rows()


@pytest.fixture(scope="session")
def rows() -> list[dict[str, Any]]:
    return [make_row(number) for number in range(11)]
