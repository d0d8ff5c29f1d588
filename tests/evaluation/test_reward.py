"""The implicit reward: given responses have the log-probabilities that they were sampled with."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from training.zoo import make
from transformers import AutoModelForImageTextToText

import mixpref.world
from mixpref import prompts, world
from mixpref.engines.request import Request, Sampling
from mixpref.engines.transformers import TransformersEngine
from mixpref.errors import MixprefError
from mixpref.evaluation import forcing
from mixpref.evaluation.forcing import TeacherForcing
from mixpref.evaluation.reward import implicit_rewards
from mixpref.records import Problem, Response
from mixpref.training import shared
from mixpref.training.data import open_image

MODEL = str(Path(mixpref.world.__file__).parent / "model")


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def sampled(engine, requests, tokens):
    answers = engine.answer(requests, Sampling(max_new_tokens=tokens, top_k=0))
    return [(requests[place].problem, response) for place, told in answers for response in told]


@pytest.fixture(scope="module")
def samples():
    """28 responses of the embedded model: some complete, some cut, some that go on from a prefix."""
    problems = list(world.problems("train", 0, 5))
    requests = [Request(problem=problem, style="en", samples=5, seed=3) for problem in problems]
    requests.append(Request(problem=problems[0], style="en", samples=3, seed=3, prefix="The"))
    return sampled(TransformersEngine(MODEL), requests, 20)


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """The embedded model with other weights: a policy."""
    folder = tmp_path_factory.mktemp("taught")
    model = AutoModelForImageTextToText.from_pretrained(MODEL, dtype=torch.float32)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.3 * weight.std() * torch.randn(weight.shape, generator=generator)
    model.save_pretrained(folder)
    TransformersEngine(MODEL).processor.save_pretrained(folder)
    return str(folder)


def response(text, **more):
    told = {"sample": 0, "tokens": 1, "finish": "stop", "seed": 0, "style": "en", "sampler": "", "logprob": None}
    return Response(problem_id="p", text=text, **(told | more))


@torch.no_grad()
def by_hand(name, problem, said):
    """The log-probability of one response, as a sequence of its own, from all logits."""
    model = AutoModelForImageTextToText.from_pretrained(name, dtype=torch.float32).eval()
    processor = TransformersEngine(name).processor
    prompt = processor.apply_chat_template(
        prompts.messages(problem, said.style), add_generation_prompt=True, tokenize=False
    )
    images = [open_image(data) for data in problem.images]
    inputs = processor(text=prompt + said.prefix, images=images or None, return_tensors="pt")
    start = inputs["input_ids"].shape[1]
    tokens = processor.tokenizer(said.text, add_special_tokens=False)["input_ids"]
    tokens += [processor.tokenizer.eos_token_id] * (said.finish == "stop")
    inputs["input_ids"] = torch.cat((inputs["input_ids"], torch.tensor([tokens])), 1)
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    inputs.pop("token_type_ids", None)
    logps = model(**inputs).logits[0].log_softmax(-1)
    return sum(logps[start + place - 1, token].item() for place, token in enumerate(tokens))


def test_given_responses_have_the_log_probabilities_that_they_were_sampled_with(samples):
    assert {said.finish for _, said in samples} == {"stop", "length"}
    told = TeacherForcing.load(MODEL)(samples)
    assert [each.tokens for each in told] == [said.tokens for _, said in samples]
    assert [each.logprob for each in told] == pytest.approx([said.logprob for _, said in samples], rel=1e-3)


# Positions in three dimensions, a prompt that sees itself whole, tiles, nested lists of images, a first token that the
# chat template writes.
@pytest.mark.parametrize("family", ["qwen3-vl", "paligemma", "internvl-qwen3", "smolvlm", "gemma3", "llava-next"])
def test_other_families_too(family):
    model, processor = make(family)
    engine = TransformersEngine.of(model, processor, name=family)
    # A model with random weights writes halves of characters, which no text has.
    plain = {processor.tokenizer.convert_tokens_to_ids(letter) for letter in "abcdefghijklmnopqrstuvwxyz"}
    engine.forbidden = sorted(set(range(engine._vocabulary())) - plain - set(engine.ends))
    problems = [*world.problems("train", 0, 2), Problem(question="How many?", answer="1")]
    if family == "paligemma":
        problems.pop()
    given = sampled(engine, [Request(problem=problem, style="en", samples=3, seed=1) for problem in problems], 8)
    told = TeacherForcing(model, processor)(given)
    assert [each.reason for each in told] == [""] * len(given)
    assert [each.logprob for each in told] == pytest.approx([said.logprob for _, said in given], rel=1e-3)


def test_a_model_has_no_reward_against_itself(samples):
    assert list(implicit_rewards(samples, MODEL, MODEL, own=False)) == [0.0] * len(samples)
    own = list(implicit_rewards(samples, None, MODEL))
    assert own == pytest.approx([0.0] * len(samples), abs=1e-4)
    # These are not the same numbers twice.
    assert any(own)


def test_a_reward_is_beta_times_the_log_ratio(samples, taught):
    given = [samples[place] for place in (0, 7, 11, 26)]
    wanted = [0.1 * (by_hand(taught, *each) - by_hand(MODEL, *each)) for each in given]
    assert max(map(abs, wanted)) > 0.01
    assert list(implicit_rewards(given, taught, MODEL, own=False)) == pytest.approx(wanted, abs=1e-4)
    twice = implicit_rewards(given, taught, MODEL, own=False, beta=0.2)
    assert list(twice) == pytest.approx([2 * each for each in wanted], abs=2e-4)


def test_rewards_do_not_depend_on_what_shares_a_pass(samples, taught):
    together = list(implicit_rewards(samples, taught, MODEL, own=False, batch_size=28))
    for size in (1, 3):
        rewards = implicit_rewards(samples, taught, MODEL, own=False, batch_size=size)
        assert list(rewards) == pytest.approx(together, abs=1e-4)


def test_a_model_that_cannot_share_a_prompt_gives_the_same(samples, monkeypatch):
    shares = TeacherForcing.load(MODEL)(samples[:7])

    def refuse(model):
        raise shared.NotIsolated("it is odd")

    monkeypatch.setattr(shared, "share_prefixes", refuse)
    plain = TeacherForcing.load(MODEL)
    monkeypatch.setattr(shared, "response_logps", None)
    told = plain(samples[:7])
    assert [each.logprob for each in told] == pytest.approx([each.logprob for each in shares], rel=1e-4)


def test_the_end_of_turn_belongs_to_a_complete_response_alone(samples):
    problem, said = next(each for each in samples if each[1].finish == "stop")
    model = TeacherForcing.load(MODEL)
    complete, cut = model([(problem, said), (problem, replace(said, finish="length"))])
    assert (complete.tokens, cut.tokens) == (said.tokens, said.tokens - 1)
    assert complete.logprob < cut.logprob
    assert cut.logprob == pytest.approx(by_hand(MODEL, problem, replace(said, finish="length")), rel=1e-4)
    # Equal texts have a place each.
    assert model([(problem, said)] * 3) == [complete] * 3


def test_what_has_no_reward_costs_no_other_its_own(samples, capsys):
    (problem, good), (other, fine) = samples[0], samples[6]
    broken = replace(other, images=(b"no image",), id="")
    marks = replace(problem, question="<image><image><image>", id="")
    given = [
        (problem, good),
        (problem, response("", finish="error", error="the server was gone")),
        (problem, response("An <image> is seen.")),
        (problem, response("", finish="length")),
        (broken, response("A word.")),
        (marks, response("A word.")),
        (other, fine),
    ]
    rewards = list(implicit_rewards(given, MODEL, MODEL, batch_size=4))
    assert [each is None for each in rewards] == [False, True, True, True, True, True, False]
    assert (rewards[0], rewards[-1]) == pytest.approx((0.0, 0.0), abs=1e-4)
    assert "5 of 7 responses have none; the first one: the server was gone" in " ".join(capsys.readouterr().err.split())
    reasons = [each.reason for each in TeacherForcing.load(MODEL)(given)]
    for reason, words in zip(reasons, ("", "server", "image token", "empty", "opened", "marks", ""), strict=True):
        assert words in reason
        assert bool(words) == bool(reason)


def test_a_prompt_that_the_processor_refuses_stands_alone(samples, monkeypatch):
    model = TeacherForcing.load(MODEL)
    (problem, good), (other, fine) = samples[0], samples[6]
    wanted = model([(problem, good), (other, fine)])
    collate = model._collate

    def refuse(examples):
        if any("refuse me" in each.prompt for each in examples):
            raise ValueError("too small a picture")
        return collate(examples)

    monkeypatch.setattr(model, "_collate", refuse)
    bad = replace(problem, question="refuse me", id="")
    first, second, third = model([(problem, good), (bad, response("A word.")), (other, fine)])
    assert [first.logprob, third.logprob] == pytest.approx([each.logprob for each in wanted], rel=1e-5)
    assert second.logprob is None
    assert "too small a picture" in second.reason


@pytest.fixture
def loads(monkeypatch):
    """The models that are loaded."""
    found = []
    load = TeacherForcing.load

    def loaded(name, **settings):
        found.append(name)
        return load(name, **settings)

    monkeypatch.setattr(forcing.TeacherForcing, "load", loaded)
    return found


def test_own_samples_need_no_policy(samples, taught, loads):
    given = samples[:4]
    by_own = list(implicit_rewards(given, taught, MODEL))
    assert loads == [MODEL]
    assert list(implicit_rewards(given, None, MODEL)) == by_own
    # It is what they say that counts.
    shifted = [(problem, replace(said, logprob=said.logprob + 5)) for problem, said in given]
    assert list(implicit_rewards(shifted, None, MODEL)) == pytest.approx([each + 0.5 for each in by_own])


def test_a_sample_that_cannot_be_read_again_as_it_was_is_given_to_the_policy(samples, taught, loads, capsys):
    (problem, said), (other, fine) = samples[0], samples[1]
    given = [(problem, replace(said, tokens=said.tokens + 1)), (problem, replace(said, logprob=None)), (other, fine)]
    rewards = list(implicit_rewards(given, taught, MODEL))
    assert loads == [MODEL, taught]
    wanted = next(implicit_rewards([(problem, said)], taught, MODEL, own=False))
    assert rewards[:2] == pytest.approx([wanted] * 2, abs=1e-5)
    assert list(implicit_rewards(given, None, MODEL))[:2] == [None, None]
    assert "has other tokens when read again, and no policy is named" in " ".join(capsys.readouterr().err.split())


def test_mistakes_are_told():
    with pytest.raises(ValueError, match="need a policy"):
        implicit_rewards([], None, MODEL, own=False)
    with pytest.raises(MixprefError, match="cannot be loaded"):
        list(implicit_rewards([(Problem(question="?"), response("A word."))], None, "no/such/folder/here"))


def test_the_module_itself_loads_no_torch():
    program = "import sys, mixpref.evaluation.reward; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
