import pytest

from mixpref.errors import MixprefError
from mixpref.training.freezing import freeze, parts_of

from .zoo import make


@pytest.mark.parametrize("name", ["llava", "qwen2-vl", "qwen3-vl", "idefics3", "internvl-qwen2", "gemma3"])
def test_each_part_is_found_in_every_family(name):
    model, _ = make(name)
    parts = {name: parts_of(name) for name, _ in model.named_parameters()}
    assert all(parts.values()), [name for name, part in parts.items() if not part]
    assert {"vision", "projector", "language", "embeddings"} == set().union(*parts.values())


def test_only_what_is_named_is_frozen():
    model, _ = make("qwen2-vl")
    freeze(model, ["vision", "embeddings"])
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert any("visual.merger" in name for name in trained)
    assert any("language_model.layers" in name for name in trained)
    assert not any("visual.blocks" in name or "embed_tokens" in name for name in trained)


def test_a_part_that_is_not_there_is_an_error(model):
    del model.model.multi_modal_projector
    with pytest.raises(MixprefError, match="LlavaForConditionalGeneration has no projector"):
        freeze(model, ["projector"])
