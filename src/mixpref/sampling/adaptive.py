"""Adaptive sampling: who gets another round.

A fixed number of samples wastes most of them: a question whose first responses are right and wrong by halves has its
pairs after a few, and one that is always or never answered right has none after many. So all problems get a round of a
few samples, and those rounds go on only for problems of which another may still make pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from mixpref.pairing.candidates import candidates
from mixpref.pairing.grouping import group
from mixpref.recipe import PairingRecipe, SamplingRecipe
from mixpref.records import Problem, Response, Verdict

Fate = Literal["enough", "trivial", "hopeless", "failed", "at the limit", "goes on"]


def fate(
    problem: Problem, judged: Sequence[tuple[Response, Verdict]], sampling: SamplingRecipe, pairing: PairingRecipe
) -> Fate:
    """What becomes of a problem after the responses that it has so far, in the order of their samples.

    enough        they make `max_pairs` pairs
    failed        none could be generated or judged: a further one fails as well
    trivial       `give_up` of them, and none is worse than right
    hopeless      `give_up` of them, and none is right
    at the limit  `samples` of them
    goes on       another round may help
    """
    found = group(judged)
    if found.counts["error"] == len(judged):
        return "failed"
    if len(candidates(found, problem, pairing.kinds)[0]) >= pairing.max_pairs:
        return "enough"
    if len(judged) >= sampling.samples:
        return "at the limit"
    if len(judged) >= sampling.give_up:
        if not found.right:
            return "hopeless"
        if not found.wrong and not found.unparsed:
            return "trivial"
    return "goes on"
