"""Seeds for everything random: each depends on what it is for, never on the order of the work."""

from __future__ import annotations

import hashlib


def derive(*parts: int | str) -> int:
    """A 63-bit seed from the parts, the same on every machine and in every run."""
    digest = hashlib.blake2b("\0".join(f"{type(part).__name__}:{part}" for part in parts).encode(), digest_size=8)
    return int.from_bytes(digest.digest(), "big") >> 1
