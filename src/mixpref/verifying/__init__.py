"""Judges responses: find the answer that a response states (`extract`), judge it by the problem's rule (`rules`)."""

from __future__ import annotations

from mixpref.verifying.verdicts import verify, verify_all

__all__ = ["verify", "verify_all"]
