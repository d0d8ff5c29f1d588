"""The shared step against one sequence at a time, for every family of models in the zoo."""

import contextlib
import copy
import functools
import inspect

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from mixpref.training import prefix, shared
from mixpref.training.packing import PackedCollator

from .test_zoo import examples_of, one_at_a_time
from .zoo import NAMES, make, row, takes


def said(text):
    return [{"role": "assistant", "content": text}]


TWO = row(5, (16, 24), (36, 12))
# Two pairs of a prompt with two images, three different responses; one that was cut; pairs with an image and without.
ROWS = [
    TWO,
    {**TWO, "chosen": said("No, none at all")},
    row(8, (32, 32), rejected_complete=False),
    row(4),
    row(3, (24, 16)),
]
GROUPS = {1: ROWS[:2], 3: [ROWS[0], ROWS[2], ROWS[3], ROWS[1], ROWS[4]]}


def examples(name, processor, groups):
    return examples_of([each for each in GROUPS[groups] if takes(name, each)], processor)


def weighted(values):
    """A scalar to which every response contributes in its own way."""
    return (values * torch.arange(1.0, len(values) + 1, dtype=values.dtype)).sum()


def gradients(model):
    found = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
    model.zero_grad()
    return found


@functools.cache
def expected(name, groups):
    """Log-probabilities of the unique responses and the gradients, each response a sequence of its own."""
    model, processor = make(name)
    some = examples(name, processor, groups)
    batch = PackedCollator(processor)(some)
    responses = {}
    for each in some:
        for response in (each.chosen, each.rejected):
            responses.setdefault((each.group, response), each)
    order = sorted(
        responses,
        key=lambda key: next(i for i, first in enumerate(dict.fromkeys(e.group for e in some)) if first == key[0]),
    )
    sums = torch.stack([one_at_a_time(model, processor, responses[key], key[1]) for key in order])
    assert len(sums) == len(batch["lengths"])
    weighted(sums).backward()
    return sums.detach(), gradients(model)


def worst(found, wanted):
    """The largest relative error of a tensor; a gradient of nothing but rounding counts against the largest one."""
    least = 1e-3 * max(gradient.norm() for gradient in wanted.values())
    assert found.keys() == wanted.keys()
    return max(((found[name] - wanted[name]).norm() / wanted[name].norm().clamp_min(least)).item() for name in wanted)


def shared_step(name, groups, checkpointing=False, alter=contextlib.nullcontext):
    model, processor = make(name)
    shared.share_prefixes(model)
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
        model.train()
    batch = PackedCollator(processor)(examples(name, processor, groups))
    with alter():
        sums, lengths = shared.response_logps(model, batch)
        weighted(sums).backward()
    assert lengths.tolist() == batch["lengths"].tolist()
    return sums.detach(), gradients(model)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("groups", GROUPS)
@pytest.mark.parametrize("name", NAMES)
def test_logps_and_gradients_equal_one_sequence_at_a_time(name, groups, checkpointing):
    sums, found = shared_step(name, groups, checkpointing)
    alone, wanted = expected(name, groups)
    torch.testing.assert_close(sums, alone, rtol=1e-5, atol=1e-4)
    assert worst(found, wanted) < 1e-4


@contextlib.contextmanager
def everybody_sees_everything_before():
    make_mask, together = prefix.make_mask, prefix.Branches

    def whole(batch_size, q_length, kv_length, **kwargs):
        layout = prefix.Layout((together(prompt=(0, q_length), responses=()),))
        with prefix.laid_out(layout):
            return make_mask(batch_size, q_length, kv_length, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(prefix.AttentionMaskInterface._global_mapping, prefix.NAME, whole)
        yield


@contextlib.contextmanager
def positions_counted_through():
    counted = shared.positions
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            shared,
            "positions",
            lambda model, batch: torch.arange(counted(model, batch).shape[-1]).expand_as(counted(model, batch)),
        )
        yield


@pytest.mark.parametrize("wrong", [everybody_sees_everything_before, positions_counted_through])
@pytest.mark.parametrize("name", ["llava", "gemma3", "qwen2-vl"])
def test_the_comparison_would_notice(name, wrong):
    sums, found = shared_step(name, 3, alter=wrong)
    alone, wanted = expected(name, 3)
    assert (sums - alone).abs().max() > 1e-2
    assert worst(found, wanted) > 1e-2


def test_in_float64_nothing_is_left_of_the_difference(monkeypatch):
    # As it is, the norm computes in float32 whatever the weights are.
    monkeypatch.setattr(
        LlamaRMSNorm, "forward", lambda self, x: self.weight * x * (x.pow(2).mean(-1, keepdim=True) + 1e-6).rsqrt()
    )
    model, processor = make("llava")
    model.double()
    some = examples("llava", processor, 3)
    responses = [(each, said) for each in some for said in (each.chosen, each.rejected)]
    weighted(torch.stack([one_at_a_time(model, processor, *each) for each in responses])).backward()
    wanted = gradients(model)
    shared.share_prefixes(model)
    batch = PackedCollator(processor)(some)
    sums, _ = shared.response_logps(model, batch)
    both = torch.stack([sums[batch["chosen"]], sums[batch["rejected"]]], 1).flatten()
    weighted(both).backward()
    found = gradients(model)
    assert (
        max(
            ((found[name] - wanted[name]).norm() / wanted[name].norm()).item()
            for name in wanted
            if "k_proj.bias" not in name
        )
        < 1e-10
    )


def test_images_and_prompts_are_computed_once():
    model, processor = make("llava")
    shared.share_prefixes(model)
    batch = PackedCollator(processor)(examples("llava", processor, 1))
    seen = []
    model.model.vision_tower.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(len(kwargs.get("pixel_values", args[0] if args else ()))), with_kwargs=True
    )
    rows = []
    model.model.language_model.register_forward_pre_hook(
        lambda _, args, kwargs: rows.append(kwargs["inputs_embeds"].shape[1]), with_kwargs=True
    )
    shared.response_logps(model, batch)
    assert seen == [2]
    prompt = batch["layout"].groups[0].prompt[1]
    assert rows == [prompt + int(batch["lengths"].sum())]
    assert len(batch["lengths"]) == 3


def test_usual_use_stays_as_it_was():
    model, processor = make("gemma3")
    batch = processor(text="<bos><user>Hm?<end>", return_tensors="pt")
    before = model(**batch).logits
    config = model.config.to_dict()
    shared.share_prefixes(model)
    torch.testing.assert_close(model(**batch).logits, before)
    assert model.config.to_dict() == config
    assert model.generate(**batch, max_new_tokens=3, do_sample=False).shape[1] == batch["input_ids"].shape[1] + 3


def test_a_copy_works_with_its_own_weights():
    model, processor = make("llava")
    shared.share_prefixes(model)
    batch = PackedCollator(processor)(examples("llava", processor, 3))
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.model.language_model.layers[0].mlp.up_proj.weight.mul_(2)
        before, _ = shared.response_logps(model, batch)
        after, _ = shared.response_logps(other, batch)
    assert (before - after).abs().max() > 1e-2
    assert inspect.signature(model.forward) == inspect.signature(make("llava")[0].forward)


class Leak(torch.nn.Module):
    """A layer that passes on what stood before, as a convolution or a recurrence does."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, hidden, *args, **kwargs):
        hidden = self.inner(hidden, *args, **kwargs)
        return hidden + 0.5 * hidden.roll(1, 1)


def test_models_that_cannot_keep_responses_apart_are_refused():
    model, _ = make("llava")
    model.model.language_model.layers[0].mlp = Leak(model.model.language_model.layers[0].mlp)
    forward, attention = model.forward, model.config.text_config._attn_implementation
    with pytest.raises(shared.NotIsolated, match="other log-probabilities than alone"):
        shared.share_prefixes(model)
    assert model.forward == forward
    assert model.config.text_config._attn_implementation == attention

    model, _ = make("llava")
    model.config.text_config.layer_types = ["linear_attention", "full_attention"]
    with pytest.raises(shared.NotIsolated, match="linear_attention"):
        shared.share_prefixes(model)


def test_a_model_without_a_vision_tower_works():
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    shared.share_prefixes(LlamaForCausalLM(LlamaConfig(**shape, vocab_size=50)))
