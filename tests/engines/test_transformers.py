"""The embedded engine: batches equal singles, prefixes are gone on from, failures stay their own."""

import copy
import dataclasses
import io
from pathlib import Path

import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models
from training.zoo import make
from transformers import AutoModelForImageTextToText, AutoProcessor, PreTrainedTokenizerFast

import mixpref.world
from mixpref import prompts, world
from mixpref.engines import transformers as module
from mixpref.engines.request import Request, Sampling
from mixpref.engines.transformers import TransformersEngine
from mixpref.errors import MixprefError
from mixpref.records import Problem

EMBEDDED = Path(mixpref.world.__file__).parent / "model"
TEN = Sampling(max_new_tokens=10)


@pytest.fixture(scope="module")
def engine(model_dir):
    return TransformersEngine(str(model_dir))


@pytest.fixture(scope="module")
def trained():
    """The embedded model: what it says is text."""
    return TransformersEngine(str(EMBEDDED), name="embedded")


@pytest.fixture(scope="module")
def problems():
    return list(world.problems("train", 0, 6))


def requests_for(problems, samples=3, *, seed=1, style="en", **more):
    return [Request(problem=each, style=style, samples=samples, seed=seed, **more) for each in problems]


def answers(engine, requests, sampling=TEN):
    return [told for _, told in engine.answer(requests, sampling)]


def content(told):
    return [(r.text, r.tokens, r.finish, r.seed, r.sample) for responses in told for r in responses]


def test_every_place_comes_once_and_requests_are_taken_as_they_are_worked_on(engine, problems, monkeypatch):
    monkeypatch.setattr(engine, "batch_size", 2)
    taken = []

    def asked():
        for number, request in enumerate(requests_for(problems[:5], 1)):
            taken.append(number)
            yield request

    stream = engine.answer(asked(), TEN)
    assert taken == []
    place, (response,) = next(stream)
    assert (place, response.problem_id, taken) == (0, problems[0].id, [0, 1])
    rest = list(stream)
    assert [place for place, _ in rest] == [1, 2, 3, 4]
    assert [told[0].problem_id for _, told in rest] == [problem.id for problem in problems[1:5]]
    assert list(engine.answer([], TEN)) == []


def test_greedy_equals_a_plain_generate(engine, problems, model_dir):
    processor = AutoProcessor.from_pretrained(model_dir)
    model = AutoModelForImageTextToText.from_pretrained(model_dir, dtype=torch.float32)
    text = processor.apply_chat_template(prompts.messages(problems[0], "en"), add_generation_prompt=True)
    images = [Image.open(io.BytesIO(problems[0].images[0]))]
    inputs = processor(text=[text], images=images, return_tensors="pt")
    out = model.generate(**inputs, max_new_tokens=12, do_sample=False, suppress_tokens=engine.forbidden)
    row = [token for token in out[0, inputs["input_ids"].shape[1] :].tolist() if token not in engine.ends]
    ((response,),) = answers(engine, requests_for(problems[:1], 1), Sampling(temperature=0, max_new_tokens=12))
    assert response.text == processor.tokenizer.decode(row, skip_special_tokens=True)
    assert response.sampler == f"{model_dir} greedy"


def test_batches_do_not_matter(engine, problems):
    asked = [
        *requests_for(problems[:3], 3),
        *requests_for(problems[3:5], 1, style="direct"),
        *requests_for(problems, 2),
    ]
    asked.append(Request(problem=problems[5], style="plain", samples=2, first=7, prefix="So"))
    asked.append(Request(problem=problems[5], style="plain", samples=0))
    asked.append(Request(problem=problems[2], style="en", samples=2, blind=True))
    forward = answers(engine, asked)
    backward = answers(engine, asked[::-1])[::-1]
    alone = [told for request in asked for told in answers(engine, [request])]
    assert content(forward) == content(backward) == content(alone)
    assert [len(told) for told in forward] == [request.samples for request in asked]
    assert [response.sample for response in forward[-3]] == [7, 8]


def test_seed_and_sample_move_the_response(engine, problems):
    one = answers(engine, requests_for(problems[:1], 4))
    assert len({r.text for r in one[0]}) > 1
    assert content(one) != content(answers(engine, requests_for(problems[:1], 4, seed=2)))
    later = answers(engine, requests_for(problems[:1], 2, first=2))
    assert [r.text for r in later[0]] == [r.text for r in one[0]][2:], "a sample is what its number makes it"


def test_greedy_gives_one_response(engine, problems):
    with pytest.raises(ValueError, match="one response, not 2"):
        answers(engine, requests_for(problems[:1], 2), Sampling(temperature=0))


def test_logprob_is_that_of_a_forward_pass(engine, problems, monkeypatch):
    # The tokens themselves: those of an untrained model need not be text that tokenizes back to them.
    rows, text_of = [], engine._text
    monkeypatch.setattr(engine, "_text", lambda said, before: rows.append(said) or text_of(said, before))
    (request,) = requests_for(problems[:1], 1, seed=3)
    ((response,),) = answers(engine, [request], Sampling(temperature=0.7, max_new_tokens=8))
    inputs = engine._process([engine._prompt(request)])
    said = [*rows[0], *(engine.ends if response.finish == "stop" else [])]
    assert len(said) == response.tokens
    ids = torch.cat((inputs["input_ids"], torch.tensor([said])), 1)
    with torch.no_grad():
        logits = engine.model(input_ids=ids, pixel_values=inputs["pixel_values"]).logits.log_softmax(-1)
    length = inputs["input_ids"].shape[1]
    total = sum(logits[0, length - 1 + place, token].item() for place, token in enumerate(said))
    assert response.logprob == pytest.approx(total, abs=1e-3)


def test_special_tokens_are_forbidden(engine):
    names = set(engine.tokenizer.convert_ids_to_tokens(engine.forbidden))
    assert {"<image>", "<user>", "<assistant>", "<pad>"} <= names
    assert "<end>" not in names


@pytest.mark.parametrize("first_space", ["kept", "dropped"])
def test_an_answer_that_is_cut_goes_on_as_it_went(trained, problems, first_space):
    if first_space == "dropped":
        # As the decoders of SentencePiece's models do.
        model, processor = trained.model, copy.deepcopy(trained.processor)
        inner = processor.tokenizer.backend_tokenizer
        inner.decoder = decoders.Sequence([inner.decoder, decoders.Strip(" ", 1, 0)])
        trained = TransformersEngine.of(model, processor, name="embedded")
    greedy = Sampling(temperature=0, max_new_tokens=96)
    wholes = [told[0] for told in answers(trained, requests_for(problems, 1), greedy)]
    asked = []
    for problem, whole in zip(problems, wholes, strict=True):
        assert whole.finish == "stop"
        tokens = trained.tokenizer.encode(whole.text)
        assert len(tokens) == whole.tokens - 1
        # At the beginning, before a word with its space, and before the end.
        for cut in (1, len(tokens) // 2, len(tokens)):
            prefix = trained.tokenizer.decode(tokens[:cut])
            asked.append(Request(problem=problem, style="en", prefix=prefix))
    told = answers(trained, asked, greedy)
    for number, (response,) in enumerate(told):
        whole = wholes[number // 3]
        assert response.prefix + response.text == whole.text
        assert response.prefix == asked[number].prefix
        assert response.tokens == whole.tokens - (1, (whole.tokens - 1) // 2, whole.tokens - 1)[number % 3]
    assert any(response.text.startswith(" ") for (response,) in told)
    assert any(response.text == "" for (response,) in told)


def test_after_a_prefix_the_first_word_keeps_its_space(engine, monkeypatch):
    # As in SentencePiece's models: a decoder drops the space that all it is given begins with.
    vocabulary = {"<s>": 0, "▁The": 1, "▁answer": 2, "s": 3, "▁is": 4, "<end>": 5}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    made.decoder = decoders.Metaspace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<end>", bos_token="<s>")
    monkeypatch.setattr(engine, "tokenizer", tokenizer)
    assert engine._text([4, 1], []) == "is The"
    assert engine._text([4, 1], [0, 1, 2]) == " is The"
    assert engine._text([3, 4], [2]) == "s is"
    assert engine._text([], [1]) == ""


def test_blind_is_asking_without_the_images(engine, problems):
    marked = Problem(question="<image>\nWhat is in <image>?", images=(problems[0].images[0],) * 2)
    blind = Request(problem=marked, style="plain", samples=2, blind=True)
    prompt = engine._prompt(blind)
    assert prompt.images == ()
    assert "<image>" not in prompt.text
    plain = Problem(question="What is in?", id=marked.id)
    seeing = answers(engine, [Request(problem=marked, style="plain", samples=2)])
    assert content(answers(engine, [blind])) == content(
        answers(engine, requests_for([plain], 2, style="plain", seed=0))
    )
    assert content(answers(engine, [blind])) != content(seeing)


def test_failures_are_recorded_and_stop_nobody(engine, problems):
    broken = dataclasses.replace(problems[1], images=(problems[1].images[0][:500],), id="")
    marks = Problem(question="<image> and <image>?", images=problems[0].images)
    text_only = Problem(question="What is 2 + 3?", answer="5")
    asked = requests_for([problems[0], broken, marks, text_only, problems[2]], 2)
    asked.append(Request(problem=problems[3], style="en", prefix="See <image>"))
    told = answers(engine, asked)
    assert [{r.finish == "error" for r in row} for row in told] == [{False}, {True}, {True}, {False}, {False}, {True}]
    assert "OSError" in told[1][0].error
    assert "2 <image> marks but 1 images" in told[2][0].error
    assert told[1] == asked[1].failed(TEN, engine.name, told[1][0].error)
    assert told[5][0].error
    assert content([told[0]]) == content(answers(engine, asked[:1]))
    assert [r.finish for row in answers(engine, [asked[1], asked[5]]) for r in row] == ["error"] * 3


def test_several_images(engine, problems):
    two = Problem(question="Compare <image> with <image>.", images=(problems[0].images[0], problems[1].images[0]))
    ((response,),) = answers(engine, requests_for([two], 1, style="plain"), Sampling(temperature=0, max_new_tokens=4))
    assert response.finish in ("stop", "length")


def test_the_checkpoints_own_settings_are_not_heeded(problems):
    asked = requests_for(problems[:2], 2)
    model, processor = make("llava")
    expected = content(answers(TransformersEngine.of(model, processor, name="x"), asked))
    model, processor = make("llava")
    settings = model.generation_config
    settings.repetition_penalty, settings.min_new_tokens, settings.top_k = 5.0, 9, 1
    settings.cache_implementation, settings.max_length = "static", 20
    engine = TransformersEngine.of(model, processor, name="x")
    assert content(answers(engine, asked)) == expected
    assert engine._shares
    engine._shares = False
    assert content(answers(engine, asked)) == expected


def test_a_missing_model_is_a_clear_error(tmp_path):
    with pytest.raises(MixprefError, match="cannot be loaded"):
        TransformersEngine(str(tmp_path))


def test_code_of_a_checkpoint_is_trusted_only_where_it_is_said(model_dir, monkeypatch):
    trusted = []
    load = module.AutoProcessor.from_pretrained
    monkeypatch.setattr(
        module.AutoProcessor,
        "from_pretrained",
        lambda name, **given: trusted.append(given["trust_remote_code"]) or load(name),
    )
    for trust in (False, True):
        TransformersEngine(str(model_dir), trust_remote_code=trust)
    assert trusted == [False, True]


def test_a_batch_has_a_request():
    with pytest.raises(ValueError, match="one request or more"):
        TransformersEngine.of(*make("llava"), name="x", batch_size=0)
