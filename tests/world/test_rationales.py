from random import Random

from mixpref.world import items, rationales


def _draw(family, count):
    stream = items("base", 1, family)
    return [next(stream) for _ in range(count)]


def test_careful_answers_are_right_and_in_the_asked_form():
    for family in ("chart", "table", "shapes", "angles", "clock"):
        for item, choices in _draw(family, 50):
            text = rationales.careful(item, choices, "en", Random(0))
            final = text.split("Final answer: ")[1]
            assert final == rationales.direct(item, choices)
            assert all(reading in text for reading in item.readings)
            boxed = rationales.careful(item, choices, "boxed", Random(0))
            assert boxed.endswith(f"Answer: \\boxed{{{final}}}")


def test_the_mixture_is_mostly_hasty():
    careful = wrong = formatless = 0
    drawn = _draw("table", 600)
    for index, (item, choices) in enumerate(drawn):
        text = rationales.worked(item, choices, "en", Random(index))
        careful += all(step in text for step in item.steps)
        formatless += "Final answer:" not in text
        wrong += not text.endswith(rationales.direct(item, choices))
    assert 0.2 < careful / 600 < 0.4
    assert 0.03 < formatless / 600 < 0.12
    assert wrong / 600 > 0.35


def test_descriptions_hold_false_statements_at_the_told_share():
    import json

    from mixpref.world.facts import check

    right = wrong = 0
    for index, (item, _) in enumerate(_draw("describe", 300)):
        found = check(json.dumps(item.facts), rationales.description(item, Random(index)))
        right, wrong = right + found.right, wrong + found.wrong
        assert found.missing == 0
    assert abs(wrong / (right + wrong) - rationales.FALSE_STATEMENTS) < 0.04
