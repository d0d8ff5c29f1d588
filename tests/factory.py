"""The pair factory as a process of its own, that a test may kill: python tests/factory.py RECIPE OUTPUT."""

from __future__ import annotations

import sys

from mixpref.cli import main

STAGES = ("sample", "verify", "continue", "pair")

if __name__ == "__main__":
    for stage in STAGES:
        if status := main([stage, sys.argv[1], "--output", sys.argv[2]]):
            sys.exit(status)
