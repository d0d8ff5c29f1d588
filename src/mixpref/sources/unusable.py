"""Why a row is no problem, on its way from where it is noticed to where it is recorded."""

from __future__ import annotations


class Unusable(Exception):
    """A row that cannot be used: `kind` in two or three words to count by, and the reason in full."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
