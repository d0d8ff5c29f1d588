"""The built-in world as a benchmark: the same 600 problems always, of contents that no training has seen."""

from collections import Counter
from itertools import islice

import pytest

from mixpref import world
from mixpref.evaluation.benchmarks import benchmark

from .written import failing, faults


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return list(benchmark("world").load(tmp_path_factory.getbasetemp() / "nowhere"))


def test_600_different_problems_of_all_families(found):
    assert len({item.problem_id for _, item in found}) == len({item.key for _, item in found}) == 600
    assert Counter(group for _, item in found for group in item.groups) == {
        f"family: {family}": 120 for family in world.FAMILIES
    }
    assert all(item.groups == (f"family: {problem.family}",) for problem, item in found)
    assert faults(found) == {}
    assert failing(found) == []


def test_they_are_the_same_in_every_run(found):
    again = list(islice(benchmark("world").load(None), 40))
    assert [item for _, item in again] == [item for _, item in found[:40]]
    # Pictures may differ by a pixel with the version of Pillow; what is asked may not.
    assert [(problem.question, problem.answer, problem.choices) for problem, _ in found[:5]] == [
        ("How much do the orange, purple and blue bars add up to?", ("19",), ()),
        ("What is left of 100 after paying the bill?", ("29",), ()),
        ("Which kind of shape is there most often?", ("triangle",), ("triangle", "square", "circle")),
        ("How many degrees does the angle marked ? have?", ("55",), ()),
        ("What time will it be in 6 hours and 30 minutes?", ("4:45",), ("10:15", "3:45", "4:15", "4:45")),
    ]


@pytest.mark.parametrize("split", ["train", "base"])
@pytest.mark.parametrize("seed", [0, 1])
def test_nothing_trained_on_has_their_contents(found, split, seed):
    contents = {(problem.facts, problem.question) for problem, _ in found}
    trained = {(problem.facts, problem.question) for problem in world.problems(split, seed, 400)}
    assert contents.isdisjoint(trained)


def test_no_data_is_needed(found):
    assert benchmark("world").get == ""
