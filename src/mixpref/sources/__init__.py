"""Where problems come from. A source reads a recipe and gives problems to train on and others to measure on.

To add one, write a module with a function `load(recipe) -> Loaded`, list it in `_SOURCES`, and name it in
`recipe.ProblemsRecipe.source`. Everything that a source is given comes out once: as a problem, as `Rejected`, or
counted as unused or as merged with another row.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from mixpref.recipe import Recipe
from mixpref.sources.loaded import Loaded, Rejected

__all__ = ["Loaded", "Rejected", "load"]

# Modules by the recipe's name of the source; only the one that is asked for is imported.
_SOURCES = {"world": "mixpref.sources.world", "jsonl": "mixpref.sources.jsonl", "mmpr": "mixpref.sources.mmpr"}


def load(recipe: Recipe) -> Loaded:
    """The problems that the recipe asks for. Raises MixprefError where they cannot be had at all."""
    read: Callable[[Recipe], Loaded] = import_module(_SOURCES[recipe.problems.source]).load
    return read(recipe)
