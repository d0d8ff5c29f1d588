"""The shared step: each prompt, its images and each different response are computed once.

The model is entered by its own `forward`, which `share_prefixes` extends by one keyword, so that wrappers (DDP, FSDP,
ZeRO, autocast) see every use of a parameter. Inside, the model's body works on a packed row (`packing`, `prefix`), and
the head on the places that predict the responses' tokens alone (`logps`).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from itertools import islice
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from mixpref.training.freezing import parts_of
from mixpref.training.logps import logit_scale, token_logps
from mixpref.training.packing import Batch
from mixpref.training.prefix import NAME, Branches, Layout, laid_out

_KEYWORD = "mixpref_row"
# Layers that keep tokens apart by their attention alone. Recurrent and convolving ones pass on what stood before.
_ISOLATED = {"full_attention", "sliding_attention"}
_MEDIA_IDS = ("image_token_id", "image_token_index", "video_token_id", "audio_token_id", "boi_token_index")


def share_prefixes(model: nn.Module) -> None:
    """Teach a model, or the one within an adapter, to work on packed rows. Its usual use stays as it was.

    Raises NotIsolated, with the reason, for a model whose responses would see more than their prompts.
    """
    inner = core(model)
    text = inner.config.get_text_config()
    if strange := sorted(set(getattr(text, "layer_types", None) or ()) - _ISOLATED):
        raise NotIsolated(f"it has layers of the kind {', '.join(strange)}")
    if getattr(text, "cross_attention_layers", None):
        raise NotIsolated("its text attends to images in layers of their own")
    before = text._attn_implementation
    plain_forward = inner.forward
    text._attn_implementation = NAME
    inner.forward = _extended(inner)
    try:
        _check(inner)
    except NotIsolated:
        text._attn_implementation = before
        inner.forward = plain_forward
        raise


class NotIsolated(Exception):
    """Why a model cannot keep the responses of a row apart."""


def core(model: Any) -> Any:
    """The transformers model within wrappers (DDP) and adapters (peft)."""
    model = unwrapped(model)
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def unwrapped(model: Any) -> Any:
    """The model within wrappers such as DDP, adapters included."""
    while isinstance(inner := getattr(model, "module", None), nn.Module):
        model = inner
    return model


def response_logps(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Log-probabilities [U] of a micro-batch's responses, in nats, summed over their tokens in float32 or wider, and
    the tokens [U]. Raises ValueError where the model doesn't hand the row's layout to its layers."""
    row = {**{name: batch[name] for name in ("layout", "predicts", "targets")}, "position_ids": positions(model, batch)}
    inputs = batch["inputs"]
    if batch.get("features") is not None:
        inputs = {name: value for name, value in inputs.items() if not name.startswith("pixel_")}
        inputs["mm_encoder_outputs"] = {"image": batch["features"]}
    logps = model(**inputs, **{_KEYWORD: row})
    lengths = batch["lengths"]
    return torch.zeros(len(lengths), dtype=logps.dtype, device=logps.device).index_add(
        0, batch["owners"], logps
    ), lengths


def sees_alike(model: nn.Module) -> bool:
    """Whether images look to the model as they do to its reference, and features of one may be handed to the other:
    nothing of its vision tower and its projector is trained."""
    inner = core(model)
    seeing = [weight for name, weight in model.named_parameters() if parts_of(name) & {"vision", "projector"}]
    takes = "mm_encoder_outputs" in inspect.signature(inner.forward).parameters
    return bool(seeing) and takes and not any(weight.requires_grad for weight in seeing)


def image_features(model: nn.Module, batch: Batch) -> Any:
    """What the frozen vision tower and projector make of a micro-batch's images: `response_logps` takes it as
    `batch["features"]` in their place. None where there are no images."""
    if "pixel_values" not in batch["inputs"]:
        return None
    with torch.no_grad():
        # Past DDP, whose forward waits for the other processes: their rows may have no images.
        return unwrapped(model)(**batch["inputs"], **{_KEYWORD: None})


def positions(model: nn.Module, batch: Batch) -> Tensor:
    """Position ids of a packed row, [1, S], or [3, 1, S] for models that place image tokens in three dimensions.

    Every response goes on from the end of its prompt.
    """
    inner = core(model)
    inputs, layout = batch["inputs"], batch["layout"]
    rope = _rope_index(inner)
    first = int(inner.config.model_type.startswith("paligemma"))
    columns, images = [], 0
    for group in layout.groups:
        start, end = group.prompt
        place = torch.arange(first, first + end - start, device=inputs["input_ids"].device).expand(3 if rope else 1, -1)
        if rope is not None and group.images:
            place = rope(
                inputs["input_ids"][:, start:end],
                mm_token_type_ids=inputs["mm_token_type_ids"][:, start:end],
                image_grid_thw=inputs["image_grid_thw"][images : images + group.images],
            )[0][:, 0]
        images += group.images
        columns.append(place)
        behind = int(place.max()) + 1
        for begin, stop in group.responses:
            columns.append(torch.arange(behind, behind + stop - begin, device=place.device).expand(len(place), -1))
    together = torch.cat(columns, 1)
    return together[:, None] if rope else together


def _rope_index(inner: Any) -> Callable[..., Any] | None:
    """The model's function for positions in three dimensions; None where positions are counted."""
    return getattr(body(inner), "get_rope_index", None)


def body(inner: Any) -> Any:
    """The model without its head."""
    return getattr(inner, inner.base_model_prefix)


def _extended(inner: Any) -> Callable[..., Any]:
    """The model's forward with one keyword more; bound to the model, so that a deep copy's works on the copy."""
    own = inner.forward
    # A function in the place of the method, as accelerate's hooks put it there, knows its model by itself.
    plain = getattr(own, "__func__", lambda _, *args, **kwargs: own(*args, **kwargs))

    @functools.wraps(plain)
    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _KEYWORD not in kwargs:
            return plain(self, *args, **kwargs)
        row = kwargs.pop(_KEYWORD)
        if row is None:
            look = body(self).get_image_features
            # The decorators hide the names of some; what is no concern of theirs is of the text.
            mine = {name: value for name, value in kwargs.items() if name in inspect.signature(look).parameters}
            return look(**mine, return_dict=True)
        with laid_out(row["layout"]):
            hidden = body(self)(*args, **kwargs, position_ids=row["position_ids"], use_cache=False)[0]
        scale = logit_scale(self.config)
        return token_logps(self.get_output_embeddings(), hidden[0, row["predicts"]], row["targets"], scale)

    return MethodType(forward, inner)


@torch.no_grad()
def _check(inner: Any) -> None:
    """Two short prompts with two responses each, in one row and one by one: the log-probabilities must be equal.

    Whatever a model does that this module doesn't know of - other layers, other positions, something done to the
    logits - shows here, not as gradients that are silently wrong.
    """
    device = inner.get_input_embeddings().weight.device
    batch, alone = _probe(inner.config, device)
    training = inner.training
    inner.eval()
    try:
        # Without kinds of tokens PaliGemma lets all of them see each other.
        if inner.config.model_type.startswith("paligemma"):
            kinds = torch.ones_like(batch["inputs"]["input_ids"])
            for group in batch["layout"].groups:
                kinds[:, slice(*group.prompt)] = 0
            batch["inputs"]["token_type_ids"] = kinds
        row = {**batch, "position_ids": positions(inner, batch)}
        packed = inner(**batch["inputs"], **{_KEYWORD: row}).float()
        single = []
        for prompt, response in alone:
            ids = torch.tensor([prompt + response], device=device)
            inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
            if "token_type_ids" in batch["inputs"]:
                inputs["token_type_ids"] = (torch.arange(ids.shape[1], device=device) >= len(prompt)).long()[None]
            logps = inner(**inputs).logits[0].float().log_softmax(-1)
            single += [logps[len(prompt) + at - 1, token] for at, token in enumerate(response)]
    except (ValueError, TypeError, RuntimeError, IndexError, NotImplementedError) as reason:
        raise NotIsolated(f"it cannot work on a packed row ({reason})") from reason
    finally:
        inner.train(training)
    error = (packed - torch.stack(single)).abs().max().item()
    allowed = 1e-3 if next(inner.parameters()).dtype in (torch.float32, torch.float64) else 0.1
    if not error <= allowed:
        raise NotIsolated(f"responses in one row have other log-probabilities than alone (by up to {error:.2g} nats)")


def _probe(config: Any, device: torch.device) -> tuple[Batch, list[tuple[list[int], list[int]]]]:
    """A packed row of random text, and its prompts and responses one by one."""
    taken = {getattr(config, name, None) for name in _MEDIA_IDS}
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(config.get_text_config().vocab_size, (64,), generator=generator).tolist()
    tokens = iter([token for token in drawn if token not in taken])
    row: list[int] = []
    groups: list[Branches] = []
    predicts: list[int] = []
    alone = []
    for prompt_size, sizes in ((5, (4, 3)), (7, (2, 6))):
        start, spans = len(row), []
        prompt = list(islice(tokens, prompt_size))
        row += prompt
        for size in sizes:
            response = list(islice(tokens, size))
            alone.append((prompt, response))
            spans.append((len(row), len(row) + size))
            predicts += [start + prompt_size - 1, *range(len(row), len(row) + size - 1)]
            row += response
        groups.append(Branches(prompt=(start, start + prompt_size), responses=tuple(spans)))
    ids = torch.tensor([row], device=device)
    batch: Batch = {
        "inputs": {"input_ids": ids, "attention_mask": torch.ones_like(ids)},
        "layout": Layout(tuple(groups)),
        "predicts": torch.tensor(predicts, device=device),
        "targets": torch.tensor([token for _, response in alone for token in response], device=device),
    }
    return batch, alone
