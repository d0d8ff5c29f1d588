import pytest
import torch

from mixpref.training.data import PairDataset, process
from mixpref.training.plain import PlainCollator, response_logps

from .zoo import MIXED, NAMES, make, picture, row, takes


def examples_of(rows, processor):
    pairs = PairDataset(rows, processor)
    assert not pairs.refused
    return [pairs[index] for index in range(len(pairs))]


def one_at_a_time(model, processor, example, response):
    """Log-probability of a response from all logits of its own sequence, without padding."""
    inputs = process(processor, [example.prompt], [example.images])
    ids, said = inputs["input_ids"], torch.tensor([response])
    for name, value in inputs.items():
        if value.shape == ids.shape:
            # PaliGemma's 1 is for what is to be predicted; elsewhere kinds tell images (1) from text (0).
            predicted = name == "token_type_ids" and model.config.model_type == "paligemma"
            kind = 1 if name == "attention_mask" or predicted else 0
            inputs[name] = torch.cat((value, said if name == "input_ids" else torch.full_like(said, kind)), 1)
    logps = model(**inputs).logits[0].log_softmax(-1)
    return sum(logps[ids.shape[1] + place - 1, token] for place, token in enumerate(response))


@pytest.mark.parametrize("name", NAMES)
def test_logps_of_a_mixed_batch_equal_one_sequence_at_a_time(name):
    model, processor = make(name)
    examples = examples_of([each for each in MIXED if takes(name, each)], processor)
    sequences = [(each, each.chosen) for each in examples] + [(each, each.rejected) for each in examples]
    with torch.no_grad():
        expected = torch.stack([one_at_a_time(model, processor, *each) for each in sequences])
        sums, lengths = response_logps(model, PlainCollator(processor)(examples))
    assert lengths.tolist() == [len(response) for _, response in sequences]
    torch.testing.assert_close(sums, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_logps_depend_on_the_image(name):
    model, processor = make(name)
    rows = [row(3, (24, 16)), row(3, images=[picture(99, (24, 16))])]
    with torch.no_grad():
        one, other = (one_at_a_time(model, processor, each, each.chosen) for each in examples_of(rows, processor))
    assert abs(one - other) > 1e-2
