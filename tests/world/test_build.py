"""Building the embedded model, and the model that is shipped."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from mixpref import world
from mixpref.engines.request import Request, Sampling
from mixpref.engines.transformers import TransformersEngine
from mixpref.rundir import resolve_model
from mixpref.world import build


@pytest.fixture(scope="module")
def embedded() -> Path:
    return Path(resolve_model("embedded"))


def test_a_build_from_nothing_loads_again(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "write_card", lambda *_, **__: None)
    settings = build.Settings(out=tmp_path / "model", steps=3, pictures=2, device="cpu")
    build.build(settings)
    model = AutoModelForImageTextToText.from_pretrained(settings.out, dtype=torch.float32)
    assert AutoProcessor.from_pretrained(settings.out).tokenizer.eos_token_id == model.config.text_config.eos_token_id
    again = build.Settings(out=tmp_path / "again", steps=3, pictures=2, device="cpu")
    build.build(again)
    same = AutoModelForImageTextToText.from_pretrained(again.out, dtype=torch.float32)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), same.parameters(), strict=True))


def test_a_build_goes_on_from_an_earlier_one(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(build, "write_card", lambda folder, parameters, passes: told.append(passes))
    first = build.Settings(out=tmp_path / "first", steps=1, pictures=2, device="cpu")
    build.build(first)
    monkeypatch.setattr(build, "read_passes", lambda folder: told[0])
    # At a rate of 0 nothing is learnt: what comes out is what went in.
    build.build(
        build.Settings(out=tmp_path / "next", steps=2, pictures=2, device="cpu", learning_rate=0.0, start=first.out)
    )
    weights = [AutoModelForImageTextToText.from_pretrained(tmp_path / name) for name in ("first", "next")]
    assert all(torch.equal(a, b) for a, b in zip(*(m.parameters() for m in weights), strict=True))
    assert [one.steps for one in told[1]] == [1, 2]


def test_the_learning_rate_rises_and_falls():
    paces = [build.pace(step, 100) for step in range(100)]
    assert paces[0] == pytest.approx(0.5, abs=0.01)
    assert max(paces) == paces[1]
    assert paces[-1] < 0.001


def test_the_shipped_weights_are_small_and_standard(embedded):
    weights = embedded / "model.safetensors"
    assert weights.stat().st_size <= 10_000_000
    model = AutoModelForImageTextToText.from_pretrained(embedded)
    assert type(model).__name__ == "LlavaForConditionalGeneration"
    assert "Result" in (embedded / "README.md").read_text(encoding="utf-8")


def test_the_shipped_model_has_seen_its_world(embedded):
    from mixpref.verifying import verify

    problems = list(world.problems("held_out", 77, 40))
    engine = TransformersEngine(str(embedded))
    requests = (Request(problem=problem, style="direct") for problem in problems)
    answers = engine.answer(requests, Sampling(temperature=0, max_new_tokens=8))
    right = sum(verify(problems[place], row[0].text, "direct").outcome == "correct" for place, row in answers)
    assert right >= 8


@pytest.mark.slow
def test_the_shipped_model_starts_where_the_paper_starts(embedded):
    """Greedy chain of thought below direct; pass@8 at least 1.5 times pass@1."""
    from mixpref.world.card import measure

    found = measure(embedded, 400, seed=2000)
    assert found.cot < found.direct
    assert found.pass_8 >= 1.5 * found.pass_1
