"""What a source gives."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mixpref.records import Problem


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """A row of a source that is no usable problem, and why."""

    source_file: str
    line: int
    """Counted from 1."""
    kind: str
    """The reason in two or three words, to count by."""
    reason: str
    """The reason in full."""


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """Problems in two disjoint sets. rows = train + held out + unused + rejected + merged."""

    train: Iterable[Problem]
    """May be read once only, and lazily: not all images are in memory at a time."""
    held_out: Iterable[Problem]
    rejected: tuple[Rejected, ...] = ()
    rows: int
    unused: int = 0
    """Good rows that the recipe did not ask for."""
    merged: int = 0
    """Rows that ask what another one asks, where that is no fault: they are that row's problem."""
