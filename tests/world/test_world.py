"""The built-in world: reproducible, disjoint between splits, solvable from what it says of itself."""

import io
import json
from random import Random

import pytest
from PIL import Image

from mixpref import world
from mixpref.seeds import derive
from mixpref.world.families import CLOSED, OPEN


def test_same_arguments_same_problems():
    first = list(world.problems("train", 3, 10))
    assert first == list(world.problems("train", 3, 10))
    assert [p.id for p in first] != [p.id for p in world.problems("train", 4, 10)]


def test_a_longer_draw_starts_with_the_shorter_one():
    assert list(world.problems("train", 0, 12))[:7] == list(world.problems("train", 0, 7))


def test_splits_share_no_content():
    def contents(split):
        return {(p.family, p.facts, p.question) for seed in (0, 1) for p in world.problems(split, seed, 400)}

    base, train, held_out = contents("base"), contents("train"), contents("held_out")
    assert not base & train
    assert not base & held_out
    assert not train & held_out


def test_families_take_turns():
    families = [p.family for p in world.problems("held_out", 0, 20)]
    assert families == list(world.FAMILIES) * 4


def test_unknown_family_is_named():
    with pytest.raises(ValueError, match=r"sudoku.*chart"):
        next(world.problems("train", 0, 1, ["sudoku"]))


@pytest.mark.parametrize("family", CLOSED)
def test_steps_lead_to_the_answer(family):
    """Each sum and difference is right, and the last step ends with the answer."""
    for index in range(200):
        item = CLOSED[family](Random(derive("test", family, index)))
        for step in item.steps:
            if "=" in step:
                left, right = step.rstrip(".").split(" = ")
                a, operator, b = left.split()
                assert {"+": int(a) + int(b), "-": int(a) - int(b), "*": int(a) * int(b)}[operator] == int(right)
        if not item.options:
            assert item.steps[-1].rstrip(".").split()[-1] == item.answer
        assert item.slips


@pytest.mark.parametrize("family", CLOSED | OPEN)
def test_readings_are_among_the_facts(family):
    """Every number that a rationale reads off the picture is one that was drawn."""
    for index in range(100):
        item = (CLOSED | OPEN)[family](Random(derive("facts", family, index)))
        facts = json.dumps(item.facts)
        for reading in item.readings:
            number = next(word for word in reading.rstrip(".").split() if word[0].isdigit())
            assert number in facts


def test_choices_hold_the_answer_once():
    with_choices = [p for p in world.problems("train", 0, 400) if p.choices]
    assert 50 < len(with_choices) < 200
    for problem in with_choices:
        assert problem.choices.count(problem.answer[0]) == 1
        assert len(problem.choices) >= 3


def test_pictures_are_drawn():
    for problem in world.problems("train", 0, 12, (*world.FAMILIES, *world.OPEN_FAMILIES)):
        image = Image.open(io.BytesIO(problem.images[0]))
        assert image.size == (256, 256)
        assert len(image.getcolors(maxcolors=100_000)) >= 2


def test_bars_have_the_height_of_their_value():
    """The chart shows what the facts say: a bar's top lies at its value's gridline."""
    from mixpref.world.drawing import COLOURS

    for index in range(20):
        item = CLOSED["chart"](Random(index))
        pixels = item.image.load()
        for name, value in item.facts["bars"].items():
            rows = [y for y in range(256) if any(pixels[x, y] == COLOURS[name] for x in range(256))]
            assert round((236 - rows[0]) / 21) == value


def test_open_problems_have_no_gold():
    problem = next(world.problems("train", 0, 1, world.OPEN_FAMILIES))
    assert problem.answer is None
    assert json.loads(problem.facts)["shapes"]
