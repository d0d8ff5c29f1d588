"""Format pairs: a right response against one without a clear final answer (arXiv 2411.10442, section 3).

They keep the trained model to the form that its answers are read in: without them the share of unparsed answers grows.
"""

from __future__ import annotations

from itertools import product

from mixpref.pairing.grouping import Group, Judged


def candidates(group: Group) -> list[tuple[Judged, Judged]]:
    """All (right, unparsed) of a problem."""
    return list(product(group.right, group.unparsed))
