import pytest
import torch

from mixpref.training.data import PairDataset, process
from mixpref.training.plain import PlainCollator, response_logps

from .conftest import make_row, picture

TWO = [{"role": "user", "content": "Which of the two?"}]
MIXED = [
    make_row(3),
    make_row(4, images=[]),
    make_row(5, prompt=TWO, images=[picture(1), picture(2)]),
    make_row(8, rejected_complete=False),
]


def one_at_a_time(model, processor, example, response):
    """Log-probability of a response from all logits of its own sequence, without padding."""
    inputs = process(processor, [example.prompt], [example.images])
    start = inputs["input_ids"].shape[1]
    inputs["input_ids"] = torch.cat((inputs["input_ids"], torch.tensor([response])), 1)
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    logps = model(**inputs).logits[0].log_softmax(-1)
    return sum(logps[start + place - 1, token] for place, token in enumerate(response))


@pytest.mark.parametrize("rows", [MIXED, MIXED[1:2]], ids=["mixed", "text only"])
def test_logps_and_gradients_equal_one_sequence_at_a_time(model, processor, rows):
    model = model.double().eval()
    pairs = PairDataset(rows, processor)
    examples = [pairs[index] for index in range(len(pairs))]
    weights = torch.arange(1.0, 2 * len(examples) + 1, dtype=torch.float64)

    sums, lengths = response_logps(model, PlainCollator(processor)(examples))
    (sums * weights).sum().backward()
    found = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    model.zero_grad()

    sequences = [(each, each.chosen) for each in examples] + [(each, each.rejected) for each in examples]
    expected = torch.stack([one_at_a_time(model, processor, *each) for each in sequences])
    (expected * weights).sum().backward()
    assert lengths.tolist() == [len(response) for _, response in sequences]
    torch.testing.assert_close(sums, expected, rtol=1e-10, atol=1e-10)
    gradients = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    assert found.keys() == gradients.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-8, atol=1e-10)


def test_logits_are_computed_for_responses_only(model, processor):
    pairs = PairDataset(MIXED, processor)
    examples = [pairs[index] for index in range(len(pairs))]
    shapes = []
    model.lm_head.register_forward_hook(lambda _, inputs, output: shapes.append(output.shape))
    response_logps(model, PlainCollator(processor)(examples))
    tokens = sum(len(each.chosen) + len(each.rejected) for each in examples)
    assert [tuple(shape) for shape in shapes] == [(tokens, len(processor.tokenizer))]


def test_each_picture_is_processed_once(processor, monkeypatch):
    pairs = PairDataset(MIXED, processor)
    examples = [pairs[index] for index in range(len(pairs))]
    worked = []
    preprocess = type(processor.image_processor)._preprocess
    monkeypatch.setattr(
        type(processor.image_processor),
        "_preprocess",
        lambda self, images, *args, **kwargs: worked.append(len(images)) or preprocess(self, images, *args, **kwargs),
    )
    PlainCollator(processor)(examples)
    assert sum(worked) == sum(len(each.images) for each in examples)


def test_sums_are_float32_under_half_precision(model, processor):
    pairs = PairDataset(MIXED, processor)
    batch = PlainCollator(processor)([pairs[index] for index in range(len(pairs))])
    sums, _ = response_logps(model.to(torch.bfloat16), batch)
    assert sums.dtype == torch.float32
