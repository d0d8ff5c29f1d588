"""The built-in world as a source: as many problems as asked for, moved by the seed, none twice."""

from __future__ import annotations

import pytest

from mixpref.errors import MixprefError
from mixpref.recipe import ProblemsRecipe, Recipe
from mixpref.sources import load
from mixpref.world import FAMILIES


def ids(seed: int, families: tuple[str, ...] = ()) -> tuple[list[str], list[str]]:
    loaded = load(Recipe(name="r", seed=seed, problems=ProblemsRecipe(train=20, held_out=15, families=families)))
    assert loaded.rows == 35
    return [problem.id for problem in loaded.train], [problem.id for problem in loaded.held_out]


def test_the_numbers_asked_for_all_different() -> None:
    train, held_out = ids(0)
    assert (len(train), len(held_out)) == (20, 15)
    assert len({*train, *held_out}) == 35


def test_the_seed_moves_both_sets_and_nothing_else_does() -> None:
    assert ids(0) == ids(0)
    assert not {*ids(0)[0]} & {*ids(1)[0]}
    assert not {*ids(0)[1]} & {*ids(1)[1]}


def test_families() -> None:
    loaded = load(Recipe(name="r", problems=ProblemsRecipe(train=4, held_out=2, families=FAMILIES[:1])))
    assert {problem.family for problem in loaded.train} == {FAMILIES[0]}
    with pytest.raises(MixprefError, match=f"no chess; its families are .*{FAMILIES[0]}"):
        load(Recipe(name="r", problems=ProblemsRecipe(train=4, held_out=2, families=("chess",))))


def test_a_generator_that_repeats_itself_is_drawn_from_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from mixpref.records import Problem

    def repeats(split: str, seed: int, count: int, families: tuple[str, ...]) -> object:
        return (Problem(question=f"{split} {turn // 3 % 12}", answer="1") for turn in range(count))

    monkeypatch.setattr("mixpref.world.problems", repeats)
    loaded = load(Recipe(name="r", problems=ProblemsRecipe(train=10, held_out=13)))
    assert len({problem.id for problem in loaded.train}) == 10
    with pytest.raises(MixprefError, match=r"no 13 different held_out problems; lower problems\.held_out"):
        list(loaded.held_out)
