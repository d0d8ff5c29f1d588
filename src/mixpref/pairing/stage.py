"""The stage `pair`: preference pairs from the judged responses."""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING, Any

from mixpref.errors import MixprefError
from mixpref.pairing import correctness, formatting
from mixpref.pairing.grouping import group
from mixpref.pairing.selection import Candidate, select
from mixpref.progress import progress, say
from mixpref.records import PreferencePair, Problem, Response, Verdict
from mixpref.seeds import derive
from mixpref.verifying.lookup import Lookup
from mixpref.verifying.stage import judged

if TYPE_CHECKING:
    from mixpref.rundir import Run

BATCH = 4096
"""Problems a shard of pairs."""

PAIRED, OPEN, UNJUDGED = "with pairs", "open questions", "without a judged response"
NONE_RIGHT, NONE_WORSE, HELD = (
    "without a right response",
    "without a worse response",
    "wrong answers hold the right one",
)


def make_pairs(run: Run) -> None:
    """Fill `pairs/`: at most `pairing.max_pairs` a problem, in the order of the responses.

    The manifest's counts say of every problem, response and candidate pair what became of it; each part adds up.

    Raises MixprefError where the verdicts are not complete, or where no pair at all can be built.
    """
    if run.pairs.finished:
        return
    if not run.verdicts.finished:
        raise MixprefError(f"{run.verdicts.path} is not complete; run `mixpref verify` first")
    settings = run.recipe.pairing
    tally = _Tally()
    problems = run.problems("train")
    find = Lookup(problems)
    done = run.pairs.done()
    shard: list[PreferencePair] = []
    seen = 0
    groups = groupby(judged(run.responses, run.verdicts), key=lambda each: each[0].problem_id)
    with progress("pair", len(problems)) as advance:
        for seen, (problem_id, responses) in enumerate(groups, start=1):
            shard += _pairs(run, find[problem_id], list(responses), tally)
            if seen % BATCH == 0:
                _append(run, seen // BATCH - 1, shard, done)
                shard = []
            advance()
    if seen % BATCH:
        _append(run, seen // BATCH, shard, done)
    for problem in find.remaining():
        tally.problems[OPEN if problem.answer is None else UNJUDGED] += 1
    if not tally.pairs.total():
        raise MixprefError(_nothing(tally))
    run.pairs.finish(
        {"seed": run.recipe.seed, "kinds": list(settings.kinds), "max_pairs": settings.max_pairs}, tally.counts()
    )
    kinds = ", ".join(f"{tally.pairs[kind]} {kind}" for kind in settings.kinds)
    say(f"pair: {tally.pairs.total()} pairs ({kinds}) of {tally.problems[PAIRED]} of {tally.problems.total()} problems")


class _Tally:
    """What became of everything."""

    def __init__(self) -> None:
        self.problems: Counter[str] = Counter()
        self.responses: Counter[str] = Counter()
        self.pairs: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()

    def counts(self) -> dict[str, Any]:
        return {
            "problems": {"all": self.problems.total(), **_sorted(self.problems)},
            "responses": {"all": self.responses.total(), **_sorted(self.responses)},
            "candidates": {
                "all": self.pairs.total() + self.left_out.total(),
                "taken": self.pairs.total(),
                **_sorted(self.left_out),
            },
            "pairs": _sorted(self.pairs),
        }


def _pairs(
    run: Run, problem: Problem, responses: list[tuple[Response, Verdict]], tally: _Tally
) -> list[PreferencePair]:
    settings = run.recipe.pairing
    found = group(responses)
    tally.responses += found.counts
    candidates: list[Candidate] = []
    held = 0
    if "correctness" in settings.kinds:
        pairs, held = correctness.candidates(found, problem.answer or ())
        candidates += [(chosen, rejected, "correctness") for chosen, rejected in pairs]
    if "format" in settings.kinds:
        candidates += [(chosen, rejected, "format") for chosen, rejected in formatting.candidates(found)]
    taken = select(candidates, settings.max_pairs, derive(run.recipe.seed, "pairs", problem.id))
    tally.pairs.update(why for _, _, why in taken)
    tally.left_out[HELD] += held
    tally.left_out["over max_pairs"] += len(candidates) - len(taken)
    if taken:
        fate = PAIRED
    elif problem.answer is None:
        fate = OPEN
    elif found.counts["error"] == found.counts.total():
        fate = UNJUDGED
    elif not found.right:
        fate = NONE_RIGHT
    else:
        fate = HELD if held else NONE_WORSE
    tally.problems[fate] += 1
    return [
        PreferencePair(
            problem_id=problem.id,
            chosen=chosen.response.text,
            rejected=rejected.response.text,
            why=why,
            style=chosen.response.style,
            chosen_origin=chosen.origin,
            rejected_origin=rejected.origin,
            rejected_complete=rejected.complete,
        )
        for chosen, rejected, why in taken
    ]


def _append(run: Run, index: int, pairs: list[PreferencePair], done: set[str]) -> None:
    if (key := f"{index:05d}") not in done:
        run.pairs.append(key, pairs)


def _nothing(tally: _Tally) -> str:
    remedies = {
        OPEN: "give the problems answers",
        UNJUDGED: "see the details of the errors in verdicts/, and check the answers and rules of the problems",
        NONE_RIGHT: "take easier problems or a stronger model, or raise sampling.samples",
        NONE_WORSE: "take harder problems, or raise sampling.samples or sampling.temperature",
        HELD: "raise sampling.samples",
    }
    if tally.responses["unparsed"] + tally.responses["cut"] > tally.responses["wrong"]:
        remedies[NONE_RIGHT] = (
            "most responses state no final answer: raise sampling.max_new_tokens, or try another sampling.style"
        )
    problems = ", ".join(f"{count} {fate}" for fate, count in tally.problems.most_common())
    if not tally.problems:
        return "no preference pair can be built: there are no problems; load some by `mixpref run`"
    remedy = remedies[tally.problems.most_common(1)[0][0]]
    return f"no preference pair can be built of {tally.problems.total()} problems ({problems}): {remedy}"


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return {name: counts[name] for name in sorted(counts) if counts[name]}
