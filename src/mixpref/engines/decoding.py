"""Decoding many samples of each prompt: every prompt is worked on once, and rows that have ended are let go."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache
from transformers.generation import GenerationMixin

from mixpref.engines.cache import is_of_rows, take_rows
from mixpref.engines.sampling import SeededSampling

# What a step may be given of every row besides the cache, each [..., rows, tokens].
_OF_ROWS = ("input_ids", "attention_mask", "position_ids", "token_type_ids", "mm_token_type_ids")
# Rows are let go when at most this share of them still runs: each time, the whole cache is copied.
_LIVE = 0.75


def takes_decoding(model: Any) -> bool:
    """Whether the model's `generate` is that of transformers, which leaves the steps to a `Decoding`."""
    return getattr(type(model), "generate", None) is GenerationMixin.generate and not model.config.is_encoder_decoder


class Decoding:
    """The decoding steps of one batch, as `generate(custom_generate=...)` calls them.

    Row i goes on from prompt `owners[i]`. The prompt is most of the work: n samples need it once, not n times. Floats
    depend on the batch's shape in their last digits, but the same requests always make the same shapes.
    """

    def __init__(self, owners: Tensor, sampling: SeededSampling, *, limit: int, pad: int) -> None:
        """`owners` [N]; `limit`: new tokens of a row, at most."""
        self.owners, self.sampling, self.limit, self.pad = owners, sampling, limit, pad

    def __call__(
        self,
        model: Any,
        input_ids: Tensor,
        logits_processor: Any,
        stopping_criteria: Any,
        generation_config: Any,
        **model_kwargs: Any,
    ) -> Tensor | None:
        """New tokens [N, limit], padded after a row's end; None where this model's prompts cannot be shared."""
        inputs = model.prepare_inputs_for_generation(input_ids, is_first_iteration=True, **model_kwargs)
        outputs = model(**inputs, return_dict=True)
        rows = _Rows(model, input_ids, model._update_model_kwargs_for_generation(outputs, model_kwargs))
        if not rows.separable():
            return None
        rows.select(self.owners)
        scores = outputs.logits[:, -1][self.owners]
        del outputs
        said = input_ids.new_full((len(self.owners), self.limit), self.pad)
        for step in range(self.limit):
            chosen = self.sampling.choose(scores)
            said[self.sampling.rows, step] = chosen
            running = self.sampling.running
            live = int(running.sum())
            if not live or step + 1 == self.limit:
                break
            rows.add(chosen)
            if live <= _LIVE * len(running):
                places = running.nonzero().squeeze(-1)
                self.sampling.keep(places)
                rows.select(places)
            scores = rows.step()
        return said


class _Rows:
    """The state of all rows between two steps: their tokens, their cache, what else the model is told of them."""

    def __init__(self, model: Any, ids: Tensor, state: dict[str, Any]) -> None:
        self.model, self.ids, self.state = model, ids, state

    def separable(self) -> bool:
        """Whether everything that a step is given is known to lie row by row."""
        if not is_of_rows(self.state.get("past_key_values")):
            return False
        given = self._inputs()
        # Else the model places a step's tokens by what it keeps to itself of the prompts.
        kept = getattr(getattr(self.model, "model", None), "rope_deltas", None)
        if kept is not None and given.get("position_ids") is None:
            return False
        unknown = (value for name, value in given.items() if name not in _OF_ROWS)
        return all(value is None or isinstance(value, bool | int | str | Cache) for value in unknown)

    def select(self, places: Tensor) -> None:
        """Go on with the rows at these places; one may be taken many times."""
        count = len(self.ids)
        self.ids = self.ids[places]
        for name in _OF_ROWS:
            value = self.state.get(name)
            # One for all rows is one for any.
            if value is not None and value.shape[-2] == count:
                self.state[name] = value.index_select(-2, places)
        take_rows(self.state["past_key_values"], places)

    def add(self, tokens: Tensor) -> None:
        """Each row's next token."""
        self.ids = torch.cat((self.ids, tokens[:, None]), 1)

    def step(self) -> Tensor:
        """Scores [rows, V] after the last token."""
        outputs = self.model(**self._inputs(), return_dict=True)
        self.state = self.model._update_model_kwargs_for_generation(outputs, self.state)
        return outputs.logits[:, -1]

    def _inputs(self) -> dict[str, Any]:
        return self.model.prepare_inputs_for_generation(self.ids, next_sequence_length=1, **self.state)
