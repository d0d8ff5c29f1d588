"""Train the embedded model: `python -m mixpref.world.build [--out DIR] [--steps N] [--pictures N] [--start DIR]`.

A LLaVA (SigLIP tower, two-layer projector, Llama) of 4.1 M parameters in the standard transformers architecture, with
a tokenizer of its own, trained on the `base` split of the built-in world. The result is written with its card (data,
time, result) to the folder that the package ships. Rerun with the same seed and step count, it gives the same model up
to the float arithmetic of the machine. After a change to one family, `--start` goes on from a model already made, which
costs a fraction; the card lists every pass that a model has been through.
"""

from __future__ import annotations

import copy
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import LlamaConfig, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor, SiglipVisionConfig

from mixpref.progress import progress, say
from mixpref.world.card import Pass, read_passes, write_card
from mixpref.world.lessons import IGNORE, TURNS, Batch, Lessons, texts
from mixpref.world.tokenizer import IMAGE_SIZE, PATCH, make_processor, train_tokenizer


@dataclass(frozen=True)
class Settings:
    out: Path = Path(__file__).parent / "model"
    """Where the model goes."""
    steps: int = 4000
    """Optimizer steps. Without a GPU, `--steps 3000 --pictures 32` makes a weaker model in about an hour."""
    pictures: int = 256
    """Pictures a step, each with up to four lessons."""
    learning_rate: float = 2e-3
    seed: int = 0
    device: str = "cuda" if torch.cuda.is_available() else "cpu"
    workers: int | None = None
    """Processes that draw; None: one for each CPU beside a GPU, and none where the CPUs train themselves."""
    start: Path | None = None
    """A model of an earlier build to go on from, with its tokenizer; None: random weights."""
    turns: tuple[str, ...] = TURNS
    """The families of the pictures, in turn; one named twice has twice the pictures."""
    remark: str = ""
    """A word about this pass for the card, such as what the world was like."""


def new_model(processor: LlavaProcessor) -> LlavaForConditionalGeneration:
    """The architecture with random weights."""
    tokenizer = processor.tokenizer
    vision = SiglipVisionConfig(
        hidden_size=192,
        intermediate_size=576,
        num_hidden_layers=4,
        num_attention_heads=6,
        image_size=IMAGE_SIZE,
        patch_size=PATCH,
        vision_use_head=False,
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=5,
        num_attention_heads=6,
        num_key_value_heads=6,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_select_strategy="full",
        vision_feature_layer=-1,
        image_seq_length=(IMAGE_SIZE // PATCH) ** 2,
        tie_word_embeddings=True,
    )
    model = LlavaForConditionalGeneration(config)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.bos_token_id = None
    return model


def loss(model: LlavaForConditionalGeneration, batch: Batch) -> Tensor:
    """Mean cross-entropy of the answers' tokens, in nats. Each picture is encoded once for all its lessons."""
    features = model.model.get_image_features(pixel_values=batch.pixel_values).pooler_output
    embeds = model.get_input_embeddings()(batch.input_ids)
    pictures = torch.stack(tuple(features))
    embeds = torch.cat((embeds[:, :1], pictures, embeds[:, 1 + pictures.shape[1] :]), dim=1)
    hidden = model.model.language_model(
        inputs_embeds=embeds, attention_mask=batch.mask(), position_ids=batch.position_ids, use_cache=False
    ).last_hidden_state
    targets = batch.labels[:, 1:]
    wanted = targets != IGNORE
    return nn.functional.cross_entropy(model.lm_head(hidden[:, :-1][wanted]), targets[wanted])


def optimizers(model: nn.Module, learning_rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for embeddings, norms and biases."""
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, weight in model.named_parameters():
        inside = weight.ndim == 2 and "embed" not in name and "lm_head" not in name
        (matrices if inside else others).append(weight)
    return [
        torch.optim.Muon(matrices, lr=learning_rate, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def pace(step: int, steps: int) -> float:
    """Share of the full learning rate: a short rise, then a cosine to zero."""
    rise = max(1, steps // 50)
    return min(1.0, (step + 1) / rise) * 0.5 * (1 + math.cos(math.pi * step / steps))


def build(settings: Settings) -> None:
    """Train, and write model, processor and card to `settings.out`."""
    torch.manual_seed(settings.seed)
    started = time.time()
    passes: list[Pass] = []
    if settings.start:
        processor = LlavaProcessor.from_pretrained(settings.start)
        model = LlavaForConditionalGeneration.from_pretrained(settings.start, dtype=torch.float32)
        passes = read_passes(settings.start)
    else:
        processor = make_processor(train_tokenizer(texts(300)))
        model = new_model(processor)
    model.to(torch.device(settings.device))  # type: ignore[arg-type]  # the annotation of transformers' wrapper
    teach(model, Lessons(processor, settings.pictures, settings.steps, settings.seed, settings.turns), settings)
    save(model, processor, settings.out)
    passes.append(
        Pass(
            steps=settings.steps,
            pictures=settings.pictures,
            learning_rate=settings.learning_rate,
            seed=settings.seed,
            minutes=(time.time() - started) / 60,
            machine=machine(settings.device),
            remark=settings.remark,
        )
    )
    write_card(settings.out, sum(weight.numel() for weight in model.parameters()), passes)


def teach(model: LlavaForConditionalGeneration, lessons: Lessons, settings: Settings) -> None:
    """One pass over the lessons, with a learning rate that rises to `settings.learning_rate` and falls to zero."""
    device = torch.device(settings.device)
    workers = settings.workers if settings.workers is not None else (os.cpu_count() or 1) * (device.type == "cuda")
    stream = DataLoader(lessons, batch_size=None, num_workers=workers, pin_memory=device.type == "cuda")
    opts = optimizers(model, settings.learning_rate)
    started, running = time.time(), 0.0
    with progress("base model", settings.steps) as advance:
        for step, batch in enumerate(stream):
            for opt in opts:
                for group in opt.param_groups:
                    group["lr"] = settings.learning_rate * pace(step, settings.steps)
            with torch.autocast(device.type, torch.bfloat16):
                value = loss(model, batch.to(device))
            value.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for opt in opts:
                opt.step()
                opt.zero_grad()
            running = value.item() if step == 0 else 0.98 * running + 0.02 * value.item()
            advance()
            if (step + 1) % 100 == 0:
                say(f"base model: step {step + 1}, loss {running:.4f}, {time.time() - started:.0f} s")


def machine(device: str) -> str:
    return torch.cuda.get_device_name() if device.startswith("cuda") else f"{torch.get_num_threads()} CPU cores"


def save(model: LlavaForConditionalGeneration, processor: LlavaProcessor, out: Path) -> None:
    """Model and processor in half precision, which halves the file and costs no accuracy that can be measured."""
    out.mkdir(parents=True, exist_ok=True)
    half = copy.deepcopy(model).cpu().half()
    for config in (half.config, half.config.text_config, half.config.vision_config):
        config.dtype = torch.float16
    half.save_pretrained(out)
    processor.save_pretrained(out)


if __name__ == "__main__":
    build(tyro.cli(Settings))
