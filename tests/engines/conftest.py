import pytest
import torch

from mixpref.world.build import new_model, save
from mixpref.world.lessons import texts
from mixpref.world.tokenizer import make_processor, train_tokenizer


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory):
    """The embedded architecture with random weights, scaled up so that its choices are far from ties."""
    torch.manual_seed(0)
    processor = make_processor(train_tokenizer(texts(20)))
    model = new_model(processor)
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(20)
    folder = tmp_path_factory.mktemp("engine") / "model"
    save(model, processor, folder)
    return folder
