"""Packing several lessons behind one picture gives each the loss that it has alone."""

import dataclasses
from random import Random

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from mixpref.world import items
from mixpref.world.build import loss, new_model
from mixpref.world.lessons import IGNORE, READ, Lessons, lessons, texts
from mixpref.world.tokenizer import make_processor, train_tokenizer


@pytest.fixture(scope="module")
def processor():
    return make_processor(train_tokenizer(texts(20)))


@pytest.fixture(scope="module")
def model(processor):
    torch.manual_seed(0)
    return new_model(processor).eval()


def test_packed_lessons_equal_lessons_alone(model, processor):
    batch = Lessons(processor, 4, 9, 0)[0]
    total, count = 0.0, 0
    for picture in range(4):
        segments = batch.segments[picture]
        for lesson in range(1, int(segments.max()) + 1):
            kept = (segments == 0) | (segments == lesson)
            ids, labels = batch.input_ids[picture][kept][None], batch.labels[picture][kept][None]
            with torch.no_grad():
                logits = model(input_ids=ids, pixel_values=batch.pixel_values[picture : picture + 1]).logits
            wanted = labels[:, 1:] != IGNORE
            total += nn.functional.cross_entropy(logits[:, :-1][wanted], labels[:, 1:][wanted], reduction="sum").item()
            count += int(wanted.sum())
    with torch.no_grad():
        assert loss(model, batch).item() == pytest.approx(total / count, rel=1e-5)


def test_lessons_that_see_each_other_would_differ(model, processor):
    """The negative control: with the isolation switched off, the loss is another."""
    batch = Lessons(processor, 4, 9, 0)[0]
    open_batch = dataclasses.replace(batch, segments=batch.segments.clamp(max=0))
    with torch.no_grad():
        assert abs(loss(model, batch).item() - loss(model, open_batch).item()) > 1e-4


def test_every_lesson_teaches_its_answer_and_the_end_of_turn(processor):
    item, choices = next(items("base", 0, "chart"))
    taught = lessons(item, choices, Random(0))
    assert taught[0][0] == READ
    assert {answer for _, answer in taught} >= {item.answer} or choices
    batch = Lessons(processor, 2, 9, 0)[0]
    end = processor.tokenizer.eos_token_id
    lesson_count = sum(int(row.max()) for row in batch.segments)
    assert int((batch.labels == end).sum()) == lesson_count


def test_same_seed_same_batches(processor):
    one, other = Lessons(processor, 3, 9, 5)[4], Lessons(processor, 3, 20, 5)[4]
    assert torch.equal(one.input_ids, other.input_ids)
    assert torch.equal(one.pixel_values, other.pixel_values)
    assert not torch.equal(one.pixel_values, Lessons(processor, 3, 9, 6)[4].pixel_values)


def test_workers_draw_the_same_lessons(processor):
    drawn = Lessons(processor, 3, 4, 0)
    alone, together = (DataLoader(drawn, batch_size=None, num_workers=number) for number in (0, 2))
    for one, other in zip(alone, together, strict=True):
        assert all(torch.equal(part, vars(other)[name]) for name, part in vars(one).items())
