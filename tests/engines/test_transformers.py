"""The embedded engine: batches equal singles, shared prefill equals repeated prefill, failures stay their own."""

import dataclasses

import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from mixpref import prompts, world
from mixpref.engines.transformers import TransformersEngine
from mixpref.errors import MixprefError
from mixpref.records import Problem


@pytest.fixture(scope="module")
def engine(model_dir):
    return TransformersEngine(str(model_dir))


@pytest.fixture(scope="module")
def problems():
    return list(world.problems("train", 0, 6))


def content(responses):
    return [(r.text, r.tokens, r.finish, r.seed) for row in responses for r in row]


def test_greedy_equals_a_plain_generate(engine, problems, model_dir):
    processor = AutoProcessor.from_pretrained(model_dir)
    model = AutoModelForImageTextToText.from_pretrained(model_dir, dtype=torch.float32)
    problem = problems[0]
    text = processor.apply_chat_template(prompts.messages(problem, "en"), add_generation_prompt=True)
    import io

    from PIL import Image

    inputs = processor(text=[text], images=[Image.open(io.BytesIO(problem.images[0]))], return_tensors="pt")
    out = model.generate(**inputs, max_new_tokens=12, do_sample=False, suppress_tokens=engine.forbidden)
    row = [token for token in out[0, inputs["input_ids"].shape[1] :].tolist() if token not in engine.ends]
    (response,) = engine.generate([problem], "en", greedy=True, max_new_tokens=12)[0]
    assert response.text == processor.tokenizer.decode(row, skip_special_tokens=True)


def test_batch_order_does_not_matter(engine, problems):
    forward = engine.generate(problems, "en", 3, seed=1, max_new_tokens=10)
    backward = engine.generate(problems[::-1], "en", 3, seed=1, max_new_tokens=10)[::-1]
    alone = [engine.generate([problem], "en", 3, seed=1, max_new_tokens=10)[0] for problem in problems]
    assert content(forward) == content(backward) == content(alone)


def test_seed_and_sample_move_the_response(engine, problems):
    one = engine.generate(problems[:1], "en", 4, seed=1, max_new_tokens=10)
    assert len({r.text for r in one[0]}) > 1
    assert content(one) != content(engine.generate(problems[:1], "en", 4, seed=2, max_new_tokens=10))


def test_shared_prefill_equals_repeated_prefill(engine, problems, monkeypatch):
    shared = engine.generate(problems, "en", 3, seed=5, max_new_tokens=10)
    monkeypatch.setattr(engine, "_repeated", lambda *_: None)
    repeated = engine.generate(problems, "en", 3, seed=5, max_new_tokens=10)
    assert content(shared) == content(repeated)
    for one, other in zip(shared, repeated, strict=True):
        for a, b in zip(one, other, strict=True):
            assert a.logprob == pytest.approx(b.logprob, abs=1e-3)


def test_logprob_is_that_of_a_forward_pass(engine, problems, monkeypatch):
    # The tokens themselves: those of an untrained model need not be text that tokenizes back to them.
    rows, tell = [], engine._tell
    monkeypatch.setattr(engine, "_tell", lambda row, logprob: rows.append(row.tolist()) or tell(row, logprob))
    (response,) = engine.generate(problems[:1], "en", 1, seed=3, max_new_tokens=8)[0]
    prompt = engine._prompt(problems[0], "en")
    inputs = engine._process([prompt])
    said = rows[0][: response.tokens]
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


def test_failures_are_recorded_and_stop_nobody(engine, problems):
    broken = dataclasses.replace(problems[1], images=(problems[1].images[0][:500],), id="")
    marks = Problem(question="<image> and <image>?", images=problems[0].images)
    text_only = Problem(question="What is 2 + 3?", answer="5")
    mixed = [problems[0], broken, marks, text_only, problems[2]]
    answers = engine.generate(mixed, "en", 2, seed=0, max_new_tokens=6)
    assert [{r.finish == "error" for r in row} for row in answers] == [{False}, {True}, {True}, {False}, {False}]
    assert "OSError" in answers[1][0].error
    assert "2 <image> marks but 1 images" in answers[2][0].error
    alone = engine.generate([problems[0]], "en", 2, seed=0, max_new_tokens=6)
    assert content([answers[0]]) == content(alone)


def test_several_images(engine, problems):
    two = Problem(question="Compare <image> with <image>.", images=(problems[0].images[0], problems[1].images[0]))
    (response,) = engine.generate([two], "plain", greedy=True, max_new_tokens=4)[0]
    assert response.finish in ("stop", "length")


def test_a_missing_model_is_a_clear_error(tmp_path):
    with pytest.raises(MixprefError, match="cannot be loaded"):
        TransformersEngine(str(tmp_path))
