"""The engine that a recipe asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from mixpref.engines.request import Engine, Sampling
from mixpref.recipe import Recipe
from mixpref.rundir import resolve_model


def sampling_engine(recipe: Recipe) -> Callable[[], Engine]:
    """Makes the engine of the recipe's sampling; fit to be pickled, and nothing is loaded before it is called.

    Raises MixprefError where the recipe's model is a directory that is not there.
    """
    settings = recipe.sampling
    if settings.engine == "server":
        return server_engine(recipe, settings.served_model or recipe.model, recipe.model, settings.servers)
    return transformers_engine(
        resolve_model(recipe.model),
        recipe.model,
        batch_size=settings.batch_size,
        trust_remote_code=recipe.trust_remote_code,
    )


def transformers_engine(
    model: str, name: str, *, batch_size: int, trust_remote_code: bool = False
) -> Callable[[], Engine]:
    """Makes an engine that runs a model (directory or hub name) here."""
    return partial(_transformers, model, name=name, batch_size=batch_size, trust_remote_code=trust_remote_code)


def server_engine(recipe: Recipe, served: str, name: str, urls: Sequence[str]) -> Callable[[], Engine]:
    """Makes an engine that asks servers for the model that they serve under a name, as the recipe's sampling does."""
    settings = recipe.sampling
    return partial(
        _server,
        model=served,
        name=name,
        urls=urls,
        concurrency=settings.concurrency,
        timeout=settings.timeout,
        retries=settings.retries,
        patience=settings.patience,
    )


def sampling_settings(recipe: Recipe, max_new_tokens: int | None = None) -> Sampling:
    """How the recipe's responses are drawn. max_new_tokens: None takes the sampling's."""
    settings = recipe.sampling
    return Sampling(
        temperature=settings.temperature,
        top_k=settings.top_k,
        top_p=settings.top_p,
        max_new_tokens=max_new_tokens or settings.max_new_tokens,
    )


# Imported only now: these load torch or aiohttp.
def _transformers(model: str, **settings: object) -> Engine:
    from mixpref.engines.transformers import TransformersEngine

    return TransformersEngine(model, **settings)  # type: ignore[arg-type]


def _server(**settings: object) -> Engine:
    from mixpref.engines.server import ServerEngine

    return ServerEngine(**settings)  # type: ignore[arg-type]
