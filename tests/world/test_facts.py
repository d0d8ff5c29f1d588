import json

from mixpref import world
from mixpref.world.facts import Check, check

FACTS = json.dumps({"shapes": {"circle": 3, "square": 1}, "colours": {"red": 2, "blue": 2}})


def test_true_description():
    text = "There are 3 circles. There is 1 square. There are 2 red shapes. There are 2 blue shapes."
    assert check(FACTS, text) == Check(right=4, wrong=0, missing=0)


def test_false_statements_and_things_never_drawn():
    found = check(FACTS, "There are 4 circles. There are 2 stars. There is 1 square.")
    assert found == Check(right=1, wrong=2, missing=2)
    assert found.wrong_share == 2 / 3


def test_words_for_numbers():
    assert check(FACTS, "There are three circles, and there is a square.") == Check(right=2, wrong=0, missing=2)


def test_no_statement_is_neither_right_nor_wrong():
    assert check(FACTS, "What a picture!") == Check(right=0, wrong=0, missing=4)
    assert check(FACTS, "").wrong_share == 0


def test_the_drawers_own_readings_are_all_right():
    from mixpref.world import items

    stream = items("held_out", 0, "describe")
    for _ in range(50):
        item, _ = next(stream)
        found = check(json.dumps(item.facts), " ".join(item.readings))
        assert (found.wrong, found.missing) == (0, 0)
    assert world.OPEN_FAMILIES == ("describe",)
