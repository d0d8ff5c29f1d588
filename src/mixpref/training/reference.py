"""The reference: the initial model, whose log-probabilities of the responses the rewards are measured against.

It is computed `in_step`, by a second model or by the policy without its adapters; or once for each different response
before the training begins (`cached`), so that no second model is kept. What was cached may stay on the disk, as an
artifact keyed by content: it serves every training of the same model on any of the same responses. Of streamed rows
nothing can be cached: that would be a pass over all of them before the first step.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mixpref.errors import MixprefError
from mixpref.progress import progress, say
from mixpref.store import Artifact
from mixpref.training.config import MPOConfig
from mixpref.training.packing import Batch
from mixpref.training.shared import core, unwrapped
from mixpref.training.steps import Logps

_TOO_LATE = (
    "the reference's log-probabilities of these rows are not there, and the model has been trained since: give "
    "MPOTrainer all rows at the start, or set reference='in_step'"
)
_SHARD = 64
"""Steps whose log-probabilities are written together."""


@dataclass(frozen=True, kw_only=True)
class ReferenceLogp:
    """What the reference gives to one response."""

    key: str
    """Hash of prompt, images and the response's tokens."""
    logp: float
    """In nats, summed over the response's tokens."""
    tokens: int


def compute_in_step(args: MPOConfig) -> None:
    """Make the settings those of a training on streamed rows, saying so."""
    if args.reference != "in_step":
        args.reference = "in_step"
        if args.process_index == 0:
            say("the rows are streamed: the reference is computed in each step (in_step) instead of cached before")


class Reference:
    """Gives the reference's log-probabilities of a micro-batch.

    model: the reference; None where it is the policy without adapters, or the policy as it is at the start.
    logps: how a model's log-probabilities are computed.
    """

    def __init__(self, model: nn.Module | None, policy: nn.Module, logps: Logps, *, cached: bool, path: Path | None):
        self.model = model
        self.cached = cached
        self._logps = logps
        self._known: dict[str, float] = {}
        if cached:
            self._artifact = Artifact(path, ReferenceLogp) if path else None
            self._identity = fingerprint(self._base(policy))
            self._read()

    def __call__(self, policy: nn.Module, batch: Batch) -> Tensor:
        """[U], without gradients. Raises MixprefError where a response was not cached before the training began."""
        if not self.cached:
            return self._compute(policy, batch)
        try:
            found = [self._known[key] for key in batch["keys"]]
        except KeyError:
            raise MixprefError(_TOO_LATE) from None
        return torch.tensor(found, dtype=torch.float64, device=batch["lengths"].device)

    def missing(self, keys: Iterable[str]) -> set[str]:
        """Of these responses, those whose log-probabilities are not there."""
        return set(keys) - self._known.keys()

    def fill(self, policy: nn.Module, steps: Iterable[Iterable[Batch]], total: int, rank: int = 0) -> None:
        """Compute and keep the log-probabilities of this process's micro-batches, then share them with the others.

        total: the number of steps. Raises MixprefError where the policy is no longer the reference.
        """
        if self.model is None and fingerprint(self._base(policy)) != self._identity:
            raise MixprefError(_TOO_LATE)
        training = policy.training
        policy.eval()
        fresh: list[ReferenceLogp] = []
        try:
            with progress("reference", total) as advance:
                for number, step in enumerate(steps, start=1):
                    for batch in step:
                        logps, lengths = self._compute(policy, batch).tolist(), batch["lengths"].tolist()
                        for key, logp, tokens in zip(batch["keys"], logps, lengths, strict=True):
                            if key not in self._known:
                                self._known[key] = logp
                                fresh.append(ReferenceLogp(key=key, logp=logp, tokens=tokens))
                    if number % _SHARD == 0:
                        self._write(fresh, rank)
                        fresh = []
                    advance()
        finally:
            policy.train(training)
        self._write(fresh, rank)
        if dist.is_available() and dist.is_initialized():
            shares: list[Any] = [None] * dist.get_world_size()
            dist.all_gather_object(shares, self._known)
            for share in shares:
                self._known |= share

    def _compute(self, policy: nn.Module, batch: Batch) -> Tensor:
        with torch.no_grad():
            if self.model is not None:
                return self._logps(self.model, batch)[0]
            without = getattr(unwrapped(policy), "disable_adapter", nullcontext)
            with without():
                return self._logps(policy, batch)[0]

    def _base(self, policy: nn.Module) -> nn.Module:
        return policy if self.model is None else self.model

    def _read(self) -> None:
        if self._artifact is None:
            return
        if others := {key.partition("-")[0] for key in self._artifact.done()} - {self._identity}:
            raise MixprefError(
                f"{self._artifact.path} holds the log-probabilities of another model ({', '.join(sorted(others))}; "
                f"this one is {self._identity}): delete it, or name another reference_cache"
            )
        self._known = {each.key: each.logp for each in self._artifact}

    def _write(self, fresh: list[ReferenceLogp], rank: int) -> None:
        if self._artifact is not None and fresh:
            number = sum(f"-{rank}-" in key for key in self._artifact.done())
            self._artifact.append(f"{self._identity}-{rank}-{number:05d}", fresh)


def fingerprint(model: nn.Module) -> str:
    """A hash of a model's architecture and weights, adapters aside; of every tensor 64 numbers are looked at."""
    inner = core(model)
    digest = hashlib.blake2b(type(inner).__name__.encode(), digest_size=8)
    for name, weight in sorted(inner.named_parameters()):
        if "lora_" not in name:
            digest.update(f"{name.replace('.base_layer', '')} {tuple(weight.shape)}".encode())
            flat = weight.detach().flatten()
            digest.update(flat[:: max(1, flat.numel() // 64)][:64].double().cpu().numpy().tobytes())
    return digest.hexdigest()
