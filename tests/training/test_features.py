from types import SimpleNamespace

import pytest
import torch

from mixpref.training import features, shared
from mixpref.training.features import Features
from mixpref.training.freezing import freeze
from mixpref.training.packing import PackedCollator

from .test_zoo import examples_of
from .zoo import MIXED, NAMES, make, takes


def frozen(name):
    model, processor = make(name)
    shared.share_prefixes(model)
    freeze(model, ["vision", "projector"])
    return model, PackedCollator(processor), examples_of([each for each in MIXED if takes(name, each)], processor)


@pytest.mark.parametrize("name", NAMES)
def test_features_take_the_place_of_pixels(name, tmp_path, monkeypatch):
    model, collate, examples = frozen(name)
    batch = collate(examples)
    expected, _ = shared.response_logps(model, batch)
    once = Features(model, None)(model, batch)
    torch.testing.assert_close(shared.response_logps(model, {**batch, "features": once})[0], expected)

    kept = Features(model, tmp_path)
    kept(model, batch)
    # Another row of some of the prompts, in another order: nothing has to be seen again.
    monkeypatch.setattr(features, "image_features", lambda *_: pytest.fail("an image was looked at twice"))
    other = collate([examples[-1], examples[0]])
    found, _ = shared.response_logps(model, {**other, "features": Features(model, tmp_path)(model, other)})
    torch.testing.assert_close(found, shared.response_logps(model, other)[0])


def test_a_tower_that_is_trained_looks_itself(tmp_path):
    model, collate, examples = frozen("llava")
    next(model.model.multi_modal_projector.parameters()).requires_grad_(True)
    assert Features(model, tmp_path)(model, collate(examples)) is None
    assert not any(tmp_path.iterdir())


def test_text_alone_has_no_features(tmp_path):
    model, collate, examples = frozen("llava")
    assert Features(model, tmp_path)(model, collate(examples[1:2])) is None


def test_features_belong_to_their_model(tmp_path):
    model, collate, examples = frozen("llava")
    batch = collate(examples)
    Features(model, tmp_path)(model, batch)
    with torch.no_grad():
        model.model.multi_modal_projector.linear_1.weight.mul_(1.5)
    expected, _ = shared.response_logps(model, batch)
    found, _ = shared.response_logps(model, {**batch, "features": Features(model, tmp_path)(model, batch)})
    torch.testing.assert_close(found, expected)


def test_layers_keep_their_order_and_prompts_their_rows():
    layers = [torch.randn(5, 2) for _ in range(12)]
    pooled = torch.randn(5, 2)
    whole = SimpleNamespace(pooler_output=[pooled[:1], pooled[1:]], deepstack_features=[[layer] for layer in layers])
    first, second = features._cut(whole, [2, 3])
    joined = features._joined([second, first])
    torch.testing.assert_close(joined.pooler_output[0], torch.cat([pooled[2:], pooled[:2]]))
    for found, layer in zip(joined.deepstack_features, layers, strict=True):
        torch.testing.assert_close(found[0], torch.cat([layer[2:], layer[:2]]))
