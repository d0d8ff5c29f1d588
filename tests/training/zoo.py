"""Tiny random models of many families with the processors that they come with, for tests that need no network.

What a step must get right differs from family to family: which tensors go with tokens and which with images, how
positions are counted, what a layer may see. Weights are large enough for a wrong token in sight to change log-probs.
"""

from __future__ import annotations

import importlib
import io
import random
import sys
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
import transformers as tf
from PIL import Image
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.processors import TemplateProcessing
from transformers.models.pixtral import image_processing_pil_pixtral
from transformers.models.smolvlm import processing_smolvlm

Made = tuple[type, Any, Any]
"""Of a family: its model class, a configuration, a processor."""

SIZE = 16
"""Of the square that most vision towers see, in pixels."""
WINDOW = 6
"""Tokens in sight of a layer with a sliding window: fewer than a prompt has, and than most responses."""
# As usual, something follows the end of the turn: it is no part of the response.
TEMPLATE = (
    "{%- for message in messages -%}{{- '<' + message['role'] + '>' -}}"
    "{%- for part in message['content'] -%}"
    "{%- if part['type'] == 'image' -%}{{- 'IMAGE' -}}{%- else -%}{{- part['text'] -}}{%- endif -%}"
    "{%- endfor -%}{{- '<end>\n' -}}{%- endfor -%}"
    "{%- if add_generation_prompt -%}<assistant>{%- endif -%}"
)

_SQUARE = {"height": SIZE, "width": SIZE}
_LAYERS = {"num_hidden_layers": 2, "intermediate_size": 32}
_VISION = {**_LAYERS, "hidden_size": 16, "num_attention_heads": 2, "image_size": SIZE, "patch_size": 8}
_TEXT = {**_LAYERS, "hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2}


def make(name: str) -> tuple[Any, Any]:
    """A model of the family in float32, always the same, and its processor."""
    torch.manual_seed(0)
    model_class, config, processor = _FAMILIES[name]()
    model = model_class(config).float().eval()
    with torch.no_grad():
        for weight in model.parameters():
            # As they start, many hide what hangs on them: biases and gates at zero, matrices of little weight.
            if not weight.any():
                weight.normal_(std=0.1)
            elif weight.ndim > 1 and weight.std() < 0.2:
                weight *= 0.2 / weight.std()
    model.generation_config.eos_token_id = processor.tokenizer.eos_token_id
    model.generation_config.pad_token_id = processor.tokenizer.pad_token_id
    return model, processor


def picture(number: int, size: tuple[int, int]) -> bytes:
    """A file of coloured noise, `size` pixels wide and high."""
    stream = io.BytesIO()
    Image.frombytes("RGB", size, random.Random(number).randbytes(size[0] * size[1] * 3)).save(stream, "PNG")
    return stream.getvalue()


def row(number: int, *sizes: tuple[int, int], **more: Any) -> dict[str, Any]:
    """A row in TRL's format with an image of each of the sizes."""
    return {
        "prompt": [{"role": "user", "content": f"How?{'x' * (number % 4)}"}],
        "chosen": [{"role": "assistant", "content": f"I count {number}.{' Yes.' * (number % 3)}"}],
        "rejected": [{"role": "assistant", "content": f"{'Well, ' * (number % 3)}{number + 1}"}],
        "images": [picture(10 * number + place, size) for place, size in enumerate(sizes)],
        **more,
    }


MIXED = [row(3, (24, 16)), row(4), row(5, (16, 24), (36, 12)), row(8, (32, 32), rejected_complete=False)]
"""One image, none, two and one of another size, so that they make different numbers of tokens."""


def takes(name: str, example: dict[str, Any]) -> bool:
    """Whether the family's processor is made for the row: that of PaliGemma is not for prompts without an image."""
    return bool(example["images"]) or not name.startswith("paligemma")


def _tokenizer(*more: str, bos: str | None = None, **named: str) -> Any:
    """Bytes and special tokens; those that are named can be had by their names, as `tokenizer.image_token`."""
    specials = dict.fromkeys(["<pad>", "<end>", "<user>", "<assistant>", *more, *named.values(), *filter(None, [bos])])
    pieces = [*specials, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(BPE(vocab={piece: index for index, piece in enumerate(pieces)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    if bos:
        tokenizer.post_processor = TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, pieces.index(bos))])
    named |= {f"special_{place}": token for place, token in enumerate(("<user>", "<assistant>", *more))}
    return tf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<end>", bos_token=bos, extra_special_tokens=named
    )


def _template(image: str, bos: str = "") -> str:
    return bos + TEMPLATE.replace("IMAGE", image)


def _text(config_class: type, tokenizer: Any, **more: Any) -> Any:
    ids = {f"{kind}_token_id": getattr(tokenizer, f"{kind}_token_id") for kind in ("bos", "eos", "pad")}
    return config_class(**{**_TEXT, "vocab_size": len(tokenizer), "max_position_embeddings": 512, **ids, **more})


def _with_video(processor_class: type, **parts: Any) -> Any:
    """A processor that insists on a processor of videos, which needs torchvision, with something in its place."""

    def check(self: Any, name: str, part: Any) -> Any:
        return None if name == "video_processor" else processor_class.check_argument_for_proper_class(self, name, part)

    # Of the same name: what is done for a family may hang on that.
    easy = type(processor_class.__name__, (processor_class,), {"check_argument_for_proper_class": check})
    return easy(video_processor=SimpleNamespace(num_frames=1, fps=1, model_input_names=[]), **parts)


def _llava(kind: str, text: type, bos: str | None = None, **settings: Any) -> Made:
    """The tower's class token and its last layer are left out. The Next cuts images into tiles."""
    tokenizer = _tokenizer(bos=bos, image_token="<image>")
    tiles = {"image_grid_pinpoints": [[SIZE, 2 * SIZE], [2 * SIZE, SIZE]]} if kind == "LlavaNext" else {}
    pictures = tf.LlavaNextImageProcessorPil if tiles else tf.CLIPImageProcessorPil
    processor = getattr(tf, f"{kind}Processor")(
        image_processor=pictures(size={"shortest_edge": SIZE}, crop_size=_SQUARE, **tiles),
        tokenizer=tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=_template("<image>\n", bos or ""),
    )
    config = getattr(tf, f"{kind}Config")(
        vision_config=tf.CLIPVisionConfig(**_VISION),
        text_config=_text(text, tokenizer, **settings),
        image_token_index=tokenizer.image_token_id,
        image_seq_length=4,
        **tiles,
    )
    return getattr(tf, f"{kind}ForConditionalGeneration"), config, processor


def _llava_onevision() -> Made:
    """One image is cut into tiles, several are not."""
    tokenizer = _tokenizer(image_token="<image>", video_token="<video>")
    grids = [[SIZE, SIZE], [SIZE, 2 * SIZE], [2 * SIZE, SIZE]]
    processor = _with_video(
        tf.LlavaOnevisionProcessor,
        image_processor=tf.LlavaOnevisionImageProcessorPil(size=_SQUARE, image_grid_pinpoints=grids),
        tokenizer=tokenizer,
        num_image_tokens=4,
        vision_feature_select_strategy="full",
        chat_template=_template("<image>\n"),
    )
    config = tf.LlavaOnevisionConfig(
        vision_config=tf.SiglipVisionConfig(**_VISION, vision_use_head=False),
        text_config=_text(tf.Qwen2Config, tokenizer),
        image_token_index=tokenizer.image_token_id,
        video_token_index=tokenizer.video_token_id,
        image_grid_pinpoints=grids,
        tie_word_embeddings=True,
    )
    return tf.LlavaOnevisionForConditionalGeneration, config, processor


def _internvl(text: type, **settings: Any) -> Made:
    """Tiles of 16 pixels, four tokens each, and one of the whole image if there are several."""
    marks = {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>"}
    tokenizer = _tokenizer(video_token="<video>", **marks)
    processor = _with_video(
        tf.InternVLProcessor,
        image_processor=tf.GotOcr2ImageProcessorPil(size=_SQUARE, min_patches=1, max_patches=3),
        tokenizer=tokenizer,
        image_seq_length=4,
        chat_template=_template("<IMG_CONTEXT>\n"),
    )
    config = tf.InternVLConfig(
        vision_config=tf.InternVLVisionConfig(**{**_VISION, "patch_size": 4}),
        text_config=_text(text, tokenizer, **settings),
        image_token_id=tokenizer.context_image_token_id,
        image_seq_length=4,
    )
    return tf.InternVLForConditionalGeneration, config, processor


def _qwen_vl(kind: str, vision: dict[str, Any], **text: Any) -> Made:
    """One token for 8 x 8 pixels, placed in three dimensions."""
    names = {"vision_start": "vision_start", "vision_end": "vision_end", "image": "image_pad", "video": "video_pad"}
    tokenizer = _tokenizer(**{f"{name}_token": f"<|{token}|>" for name, token in names.items()})
    processor = _with_video(
        getattr(tf, f"{kind}Processor"),
        image_processor=tf.Qwen2VLImageProcessorPil(patch_size=4, merge_size=2, min_pixels=64, max_pixels=512),
        tokenizer=tokenizer,
        chat_template=_template("<|vision_start|><|image_pad|><|vision_end|>"),
    )
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]}
    config = getattr(tf, f"{kind}Config")(
        vision_config={"depth": 2, "num_heads": 2, "patch_size": 4, **vision},
        text_config=_text(getattr(tf, f"{kind}TextConfig"), tokenizer, rope_parameters=rope, **text).to_dict(),
        **{f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in names},
    )
    return getattr(tf, f"{kind}ForConditionalGeneration"), config, processor


def _idefics(kind: str) -> Made:
    """Frames of 16 pixels, one token each, with text between them; padded to as many for each prompt."""
    marks = ["<fake_token_around_image>", "<end_of_utterance>", "<global-img>"]
    cells = [f"<row_{down}_col_{right}>" for down in (1, 2) for right in (1, 2)]
    tokenizer = _tokenizer(*marks, *cells, image_token="<image>")
    pictures = getattr(tf, f"{kind}ImageProcessorPil")
    parts = {
        "image_processor": pictures(size={"longest_edge": 2 * SIZE}, max_image_size={"longest_edge": SIZE}),
        "tokenizer": tokenizer,
        "image_seq_len": 1,
        "chat_template": _template("<image>"),
    }
    processor_class = getattr(tf, f"{kind}Processor")
    # SmolVLM asks for num2words, to say how many frames a video has.
    with mock.patch.object(processing_smolvlm, "num2words", str):
        processor = _with_video(processor_class, **parts) if kind == "SmolVLM" else processor_class(**parts)
    config = getattr(tf, f"{kind}Config")(
        vision_config=_VISION,
        text_config=_text(tf.LlamaConfig, tokenizer),
        image_token_id=tokenizer.image_token_id,
        scale_factor=2,
    )
    return getattr(tf, f"{kind}ForConditionalGeneration"), config, processor


def _mistral3() -> Made:
    """One token for 8 x 8 pixels, and one for the end of each line."""
    # The processor takes one function from a module that needs torchvision; its twin has it, too.
    wanted = "transformers.models.pixtral.image_processing_pixtral"
    twin = sys.modules.setdefault(wanted, image_processing_pil_pixtral)
    processing = importlib.import_module("transformers.models.pixtral.processing_pixtral")
    if twin is image_processing_pil_pixtral:
        del sys.modules[wanted]
    tokenizer = _tokenizer("[IMG_BREAK]", "[IMG_END]", bos="<s>", image_token="[IMG]")
    processor = processing.PixtralProcessor(
        image_processor=tf.PixtralImageProcessorPil(patch_size=4, size={"longest_edge": 24}),
        tokenizer=tokenizer,
        patch_size=4,
        spatial_merge_size=2,
        chat_template=_template("[IMG]", "<s>"),
    )
    config = tf.Mistral3Config(
        vision_config=tf.PixtralVisionConfig(**{**_VISION, "image_size": 24, "patch_size": 4}),
        text_config=_text(tf.MistralConfig, tokenizer, head_dim=8, sliding_window=None),
        image_token_index=tokenizer.image_token_id,
    )
    return tf.Mistral3ForConditionalGeneration, config, processor


def _gemma3() -> Made:
    """An image's tokens see each other; two layers of three see no farther than their window."""
    marks = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}
    tokenizer = _tokenizer(bos="<bos>", **marks)
    processor = tf.Gemma3Processor(
        image_processor=tf.Gemma3ImageProcessorPil(size=_SQUARE),
        tokenizer=tokenizer,
        image_seq_length=4,
        chat_template=_template("<start_of_image>", "<bos>"),
    )
    kinds = ["sliding_attention", "full_attention", "sliding_attention"]
    layers = {"num_hidden_layers": 3, "layer_types": kinds, "sliding_window": WINDOW}
    config = tf.Gemma3Config(
        vision_config=tf.SiglipVisionConfig(**{**_VISION, "patch_size": 4}, vision_use_head=False),
        text_config=_text(tf.Gemma3TextConfig, tokenizer, head_dim=8, query_pre_attn_scalar=8, **layers),
        mm_tokens_per_image=4,
        boi_token_index=tokenizer.boi_token_id,
        eoi_token_index=tokenizer.eoi_token_id,
        image_token_index=tokenizer.image_token_id,
    )
    return tf.Gemma3ForConditionalGeneration, config, processor


def _paligemma(text: type, **settings: Any) -> Made:
    """The prompt sees itself whole, and positions count from 1. With Gemma 2, scores and logits are capped."""
    tokenizer = _tokenizer(bos="<bos>", image_token="<image>")
    processor = tf.PaliGemmaProcessor(
        image_processor=tf.SiglipImageProcessorPil(size=_SQUARE, image_seq_length=4),
        tokenizer=tokenizer,
        chat_template=_template("<image>"),
    )
    config = tf.PaliGemmaConfig(
        vision_config=tf.SiglipVisionConfig(**_VISION, vision_use_head=False),
        text_config=_text(text, tokenizer, head_dim=8, **settings),
        image_token_index=tokenizer.image_token_id,
        projection_dim=32,
        hidden_size=32,
    )
    return tf.PaliGemmaForConditionalGeneration, config, processor


_QWEN2 = {"embed_dim": 16, "hidden_size": 32, "mlp_ratio": 2}
_QWEN2_5 = {"hidden_size": 16, "intermediate_size": 32, "out_hidden_size": 32}
_QWEN3 = {**_QWEN2_5, "num_position_embeddings": 16, "deepstack_visual_indexes": [0]}
_CAPS = {"attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0, "query_pre_attn_scalar": 8}
_FAMILIES: dict[str, Callable[[], Made]] = {
    "internvl-qwen2": partial(_internvl, tf.Qwen2Config),
    "internvl-qwen3": partial(_internvl, tf.Qwen3Config, head_dim=8),
    "qwen2-vl": partial(_qwen_vl, "Qwen2VL", _QWEN2),
    "qwen2.5-vl": partial(_qwen_vl, "Qwen2_5_VL", {**_QWEN2_5, "window_size": 16, "fullatt_block_indexes": [1]}),
    "qwen3-vl": partial(_qwen_vl, "Qwen3VL", _QWEN3, head_dim=8),
    "llava": partial(_llava, "Llava", tf.LlamaConfig),
    # With a third layer, what is said still hears of the image.
    "llava-mistral-sliding": partial(
        _llava, "Llava", tf.MistralConfig, sliding_window=WINDOW, num_hidden_layers=3, head_dim=8
    ),
    "llava-next": partial(_llava, "LlavaNext", tf.MistralConfig, bos="<s>", sliding_window=None, head_dim=8),
    "llava-onevision": _llava_onevision,
    "idefics3": partial(_idefics, "Idefics3"),
    "smolvlm": partial(_idefics, "SmolVLM"),
    "mistral3": _mistral3,
    "gemma3": _gemma3,
    "paligemma": partial(_paligemma, tf.GemmaConfig, num_key_value_heads=1),
    "paligemma2": partial(_paligemma, tf.Gemma2Config, sliding_window=WINDOW, **_CAPS),
}
NAMES = tuple(_FAMILIES)
