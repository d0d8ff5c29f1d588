"""Prompts that are worked on once for all their samples, in every family: equal to prompts that are repeated."""

import functools

import pytest
import torch
from training.zoo import MIXED, NAMES, make, takes

from mixpref.engines import decoding
from mixpref.engines.decoding import Decoding, takes_decoding
from mixpref.engines.request import Request, Sampling
from mixpref.engines.sampling import SeededSampling
from mixpref.engines.transformers import TransformersEngine
from mixpref.records import Problem

GREEDY = Sampling(temperature=0, max_new_tokens=12)


def engine_of(name):
    model, processor = make(name)
    return TransformersEngine.of(model, processor, name=name)


def requests_for(name, samples=(2, 1, 3, 0)):
    rows = [(row, count) for row, count in zip(MIXED, samples, strict=True) if takes(name, row)]
    return [
        Request(
            problem=Problem(question=row["prompt"][0]["content"], images=tuple(row["images"])),
            style="plain",
            samples=count,
            seed=5,
        )
        for row, count in rows
    ]


def tell(engine, requests, sampling):
    return [response for _, told in engine.answer(requests, sampling) for response in told]


def equal(some, others, tolerance=1e-3):
    def words(responses):
        return [(r.problem_id, r.sample, r.text, r.tokens, r.finish, r.error) for r in responses]

    assert words(some) == words(others)
    assert [r.logprob for r in some] == pytest.approx([r.logprob for r in others], abs=tolerance)
    assert not any(r.error for r in some)


@pytest.mark.parametrize("name", NAMES)
def test_shared_prompts_equal_repeated_prompts(name):
    engine, requests = engine_of(name), requests_for(name)
    sampling = Sampling(max_new_tokens=12)
    shared = tell(engine, requests, sampling)
    assert engine._shares, "this family's prompts are shared"
    engine._shares = False
    equal(shared, tell(engine, requests, sampling))


@pytest.mark.parametrize("name", NAMES)
def test_greedy_tokens_equal_those_of_generate_alone(name):
    engine = engine_of(name)
    for request in requests_for(name, (1, 1, 1, 1)):
        inputs = engine._process([engine._prompt(request)])
        chosen = SeededSampling([0, 0, 0], GREEDY, forbidden=engine.forbidden, ends=engine.ends)
        steps = Decoding(torch.tensor([0, 0, 0]), chosen, limit=12, pad=engine._pad())
        ours = engine.model.generate(**inputs, max_new_tokens=12, custom_generate=steps)
        out = engine.model.generate(**inputs, max_new_tokens=12, suppress_tokens=engine.forbidden)
        theirs = out[0, inputs["input_ids"].shape[1] :]
        for row in ours:
            assert torch.equal(row[: len(theirs)], theirs)


@pytest.mark.parametrize("name", ["llava", "qwen2.5-vl", "gemma3", "llava-mistral-sliding"])
def test_letting_rows_go_changes_no_response(name, monkeypatch):
    engine, requests = engine_of(name), requests_for(name, (4, 4, 4, 4))
    engine.ends = [*engine.ends, *range(30, 262, 12)]
    sampling = Sampling(max_new_tokens=24)
    taken = []
    select = decoding._Rows.select
    monkeypatch.setattr(
        decoding._Rows, "select", lambda rows, places: taken.append(len(places)) or select(rows, places)
    )
    some = tell(engine, requests, sampling)
    assert len({r.tokens for r in some}) > 3
    assert taken[0] == 16
    assert taken[1:] == sorted(taken[1:], reverse=True)
    assert taken[-1] < 8
    for share in (-1.0, 1.0):
        monkeypatch.setattr(decoding, "_LIVE", share)
        taken.clear()
        equal(some, tell(engine, requests, sampling))
        assert (len(taken) == 1) == (share < 0)


def test_a_prompt_is_worked_on_once(monkeypatch):
    engine = engine_of("llava")
    shapes = []
    hook = engine.model.register_forward_pre_hook(
        lambda _, args, given: shapes.append(tuple(given["input_ids"].shape)), with_kwargs=True
    )
    tell(engine, requests_for("llava", (3, 0, 2, 0))[::2], Sampling(max_new_tokens=4))
    hook.remove()
    assert shapes[0][0] == 2
    assert shapes[1:] == [(5, 1)] * 3


def test_what_is_not_known_is_repeated(monkeypatch):
    engine, requests = engine_of("llava"), requests_for("llava")
    shared = tell(engine, requests, Sampling(max_new_tokens=8))
    # Now positions are tensors of unknown make.
    monkeypatch.setattr(decoding, "_OF_ROWS", ("input_ids", "attention_mask"))
    equal(shared, tell(engine, requests, Sampling(max_new_tokens=8)))
    assert not engine._shares


def test_positions_that_a_model_keeps_to_itself_are_not_shared(monkeypatch):
    engine = engine_of("qwen2-vl")
    prepare = type(engine.model).prepare_inputs_for_generation

    @functools.wraps(prepare)
    def without_positions(self, *args, **given):
        return prepare(self, *args, **given) | {"position_ids": None}

    monkeypatch.setattr(type(engine.model), "prepare_inputs_for_generation", without_positions)
    tell(engine, requests_for("qwen2-vl")[:1], Sampling(max_new_tokens=4))
    assert not engine._shares


def test_a_model_with_a_generate_of_its_own_keeps_it():
    model, _ = make("llava")
    assert takes_decoding(model)

    class Own(type(model)):
        def generate(self, *args, **given):
            return super().generate(*args, **given)

    model.__class__ = Own
    assert not takes_decoding(model)
