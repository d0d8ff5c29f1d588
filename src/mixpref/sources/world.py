"""The built-in world as a source: as many problems as the recipe asks for, all of them different."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from mixpref import world
from mixpref.errors import MixprefError
from mixpref.recipe import Recipe
from mixpref.records import Problem
from mixpref.sources.loaded import Loaded


def load(recipe: Recipe) -> Loaded:
    """Problems of the world, moved by the recipe's seed. Raises MixprefError for a family that does not exist."""
    settings = recipe.problems
    assert settings.train is not None, "recipes of the world have a number"
    known = (*world.FAMILIES, *world.OPEN_FAMILIES)
    if unknown := [family for family in settings.families if family not in known]:
        raise MixprefError(
            f"problems.families: the world has no {', '.join(unknown)}; its families are {', '.join(known)}"
        )
    return Loaded(
        train=_different(recipe, "train", settings.train),
        held_out=_different(recipe, "held_out", settings.held_out),
        rows=settings.train + settings.held_out,
    )


def _different(recipe: Recipe, split: Literal["train", "held_out"], count: int) -> Iterator[Problem]:
    """`count` problems, none twice. Raises MixprefError where the families have not so many."""
    families = recipe.problems.families or world.FAMILIES
    seen: set[str] = set()
    # The generator draws with replacement, and a small family repeats itself.
    for problem in world.problems(split, recipe.seed, 10 * count + 100, families):
        if len(seen) == count:
            return
        if problem.id not in seen:
            seen.add(problem.id)
            yield problem
    if len(seen) < count:
        raise MixprefError(
            f"the families {', '.join(families)} have no {count} different {split} problems; lower problems.{split}"
        )
