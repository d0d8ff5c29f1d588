"""Keys and values of many rows that grow token by token."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

# Tokens that there is room for, at least, when keys and values move.
_ROOM = 128


class GrowingLayer(DynamicLayer):
    """A DynamicLayer that writes into room of its own: that of transformers copies all it has for every new token.

    Keys and values are [rows, heads, tokens, width]: the filled part of the room.
    """

    keys: Tensor
    values: Tensor

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()
        self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True
        self.keys, self.values = keys, values
        self._room = keys, values

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """All keys and values after the new ones are added."""
        before = self.get_seq_length()
        after = before + key_states.shape[-2]
        if after > self._room[0].shape[-2]:
            self._move(self.keys, self.values, after)
        keys, values = self._room
        keys[..., before:after, :] = key_states
        values[..., before:after, :] = value_states
        self.keys, self.values = keys[..., :after, :], values[..., :after, :]
        return self.keys, self.values

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Go on with the rows at these places."""
        self._move(self.keys[beam_idx], self.values[beam_idx], self.get_seq_length())

    def _move(self, keys: Tensor, values: Tensor, tokens: int) -> None:
        """Make room for so many tokens and some more, and fill it with these."""
        self._room = _roomy(keys, tokens), _roomy(values, tokens)
        filled = keys.shape[-2]
        self.keys, self.values = (room[..., :filled, :] for room in self._room)


def _roomy(old: Tensor, tokens: int) -> Tensor:
    room = old.new_empty(*old.shape[:2], tokens + _ROOM, old.shape[3])
    room[..., : old.shape[-2], :] = old
    return room


def is_of_rows(cache: Any) -> bool:
    """Whether it is a cache of a kind of which rows can be taken: each row's part depends on nothing but the row."""
    kinds = (DynamicLayer, DynamicSlidingWindowLayer, GrowingLayer)
    return type(cache) is DynamicCache and all(type(layer) in kinds for layer in cache.layers)


def take_rows(cache: DynamicCache, places: Tensor) -> None:
    """Go on with the rows at these places; one may be taken many times."""
    layers: list[Any] = cache.layers
    for number, layer in enumerate(layers):
        if type(layer) is DynamicLayer and layer.keys is not None and layer.values is not None:
            layers[number] = GrowingLayer(layer.keys, layer.values)
        layers[number].reorder_cache(places)
