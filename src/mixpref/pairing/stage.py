"""The stage `pair`: preference pairs from the judged responses."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from mixpref.errors import MixprefError
from mixpref.pairing import dropout, foreign
from mixpref.pairing.candidates import candidates
from mixpref.pairing.grouping import group
from mixpref.pairing.lengths import Lengths
from mixpref.pairing.selection import alike, select, too_far_apart
from mixpref.progress import progress, say
from mixpref.records import PreferencePair, Problem, Response, Verdict
from mixpref.seeds import derive
from mixpref.store import write_text
from mixpref.verifying.lookup import Lookup, without_images
from mixpref.verifying.stage import judged

if TYPE_CHECKING:
    from mixpref.rundir import Run

BATCH = 4096
"""Problems a shard of pairs."""

PAIRED, OPEN, UNJUDGED = "with pairs", "open questions", "without a judged response"
NONE_RIGHT, NONE_WORSE, HELD, APART = (
    "without a right response",
    "without a worse response",
    "wrong answers hold the right one",
    "of lengths too far apart",
)
OVER = "over max_pairs"


def make_pairs(run: Run) -> None:
    """Fill `pairs/`: at most `pairing.max_pairs` a problem, in the order of the responses.

    The manifest's counts say of every problem, response and candidate pair what became of it; each part adds up.

    Raises MixprefError where the verdicts or the continuations are not complete, or where no pair at all can be built.
    """
    if run.pairs.finished:
        return
    settings = run.recipe.pairing
    if not run.verdicts.finished:
        raise MixprefError(f"{run.verdicts.path} is not complete; run `mixpref verify` first")
    if "dropout-ntp" in settings.kinds and not run.continuations.finished:
        raise MixprefError(f"{run.continuations.path} is not complete; run `mixpref continue` first")
    tally = _Tally()
    problems = run.problems("train")
    find = Lookup(without_images(problems))
    continued = _Continued(run)
    added = foreign.read(settings.added, problems.columns("id", "question"), run.recipe.sampling.style)
    done = run.pairs.done()
    shard: list[PreferencePair] = []
    seen = 0
    groups = groupby(judged(run.responses, run.verdicts), key=lambda each: each[0].problem_id)
    with progress("pair", len(problems)) as advance:
        for seen, (problem_id, responses) in enumerate(groups, start=1):
            shard += _pairs(run, find[problem_id], list(responses), continued, added, tally)
            if seen % BATCH == 0:
                _append(run, seen // BATCH - 1, shard, done)
                shard = []
            advance()
    for problem in find.remaining():
        pairs = added.of(problem, ())
        _count_added(pairs, (), tally)
        shard += pairs
        tally.problems[PAIRED if pairs else OPEN if problem.answer is None else UNJUDGED] += 1
    if shard or seen % BATCH:
        _append(run, seen // BATCH, shard, done)
    if not tally.pairs.total():
        raise MixprefError(_nothing(tally))
    counts = tally.counts()
    if settings.added:
        counts["added"] = added.counts()
        _tell_rejected(run, added)
    run.pairs.finish({"seed": run.recipe.seed, **dataclasses.asdict(settings)}, counts)
    kinds = ", ".join(f"{tally.pairs[kind]} {kind}" for kind in sorted(tally.pairs))
    say(f"pair: {tally.pairs.total()} pairs ({kinds}) of {tally.problems[PAIRED]} of {tally.problems.total()} problems")
    say(f"pair: {tally.lengths.told()}")


class _Tally:
    """What became of everything."""

    def __init__(self) -> None:
        self.problems: Counter[str] = Counter()
        self.responses: Counter[str] = Counter()
        self.pairs: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        self.lengths = Lengths()

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
            "lengths": self.lengths.summary(),
        }


class _Continued:
    """The blind continuations of a problem's responses; both are read once, in the problems' order."""

    def __init__(self, run: Run) -> None:
        wanted = "dropout-ntp" in run.recipe.pairing.kinds
        self._groups = groupby(run.continuations if wanted else (), key=lambda each: each.problem_id)
        self._next = next(self._groups, None)

    def __call__(self, problem_id: str) -> dict[int, Response]:
        """By the number of the response that was gone on from."""
        if self._next is None or self._next[0] != problem_id:
            return {}
        found = {each.sample: each for each in self._next[1]}
        self._next = next(self._groups, None)
        return found


def _pairs(
    run: Run,
    problem: Problem,
    responses: list[tuple[Response, Verdict]],
    continued: _Continued,
    added: foreign.Foreign,
    tally: _Tally,
) -> list[PreferencePair]:
    settings = run.recipe.pairing
    found = group(responses)
    tally.responses += found.counts
    possible, held = candidates(found, problem, settings.kinds)
    fit, apart = alike(possible, settings.max_length_gap)
    seed = derive(run.recipe.seed, "pairs", problem.id)
    taken = select(fit, settings.max_pairs, seed, level=settings.lengths == "level")
    tally.left_out[HELD] += held
    tally.left_out["over max_length_gap"] += apart
    tally.left_out[OVER] += len(fit) - len(taken)
    pairs = [
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
    for chosen, rejected, why in taken:
        tally.lengths.add(why, chosen.response.tokens, rejected.response.tokens)
    pairs += _blind_pairs(run, responses, continued(problem.id), settings.max_pairs - len(pairs), tally)
    tally.pairs.update(pair.why for pair in pairs)
    # What a person adds counts beside what is found here, and is not limited.
    from_elsewhere = added.of(problem, responses)
    _count_added(from_elsewhere, responses, tally)
    pairs += from_elsewhere
    if pairs:
        fate = PAIRED
    elif problem.answer is None:
        fate = OPEN
    elif found.counts["error"] == found.counts.total():
        fate = UNJUDGED
    elif not found.right:
        fate = NONE_RIGHT
    elif apart:
        fate = APART
    else:
        fate = HELD if held else NONE_WORSE
    tally.problems[fate] += 1
    return pairs


def _blind_pairs(
    run: Run,
    responses: list[tuple[Response, Verdict]],
    continued: dict[int, Response],
    room: int,
    tally: _Tally,
) -> list[PreferencePair]:
    """Each response to an open problem against its beginning gone on with blindly."""
    settings = run.recipe.pairing
    pairs: list[PreferencePair] = []
    for response, _ in responses:
        if (continuation := continued.get(response.sample)) is None:
            continue
        found, refused = dropout.candidates(response, [continuation], settings.dropout_ratio)
        tally.left_out.update(refused)
        tokens = dropout.tokens(response, continuation)
        if found and too_far_apart(response.tokens, tokens, settings.max_length_gap):
            tally.left_out["over max_length_gap"] += 1
        elif found and len(pairs) >= room:
            tally.left_out[OVER] += 1
        elif found:
            pairs += found
            tally.lengths.add("dropout-ntp", response.tokens, tokens)
    return pairs


def _count_added(pairs: Sequence[PreferencePair], responses: Sequence[tuple[Response, Verdict]], tally: _Tally) -> None:
    tokens = {response.id: response.tokens for response, _ in responses}
    for pair in pairs:
        tally.pairs[pair.why] += 1
        # Of texts that are no responses of this run nobody knows the tokens.
        both = (tokens.get(origin.partition(" ")[0]) for origin in (pair.chosen_origin, pair.rejected_origin))
        tally.lengths.add(pair.why, *both)


def _tell_rejected(run: Run, added: foreign.Foreign) -> None:
    rejected = added.rejected()
    lines = (json.dumps(dataclasses.asdict(each), ensure_ascii=False) + "\n" for each in rejected)
    file = run.pairs.path / "rejected.jsonl"
    write_text(file, "".join(lines))
    if rejected:
        say(f"pair: {len(rejected)} rows of pairing.added are unusable, listed in {file}")


def _append(run: Run, index: int, pairs: list[PreferencePair], done: set[str]) -> None:
    if (key := f"{index:05d}") not in done:
        run.pairs.append(key, pairs)


def _nothing(tally: _Tally) -> str:
    remedies = {
        OPEN: "give the problems answers, or add dropout-ntp to pairing.kinds",
        UNJUDGED: "see the details of the errors in verdicts/, and check the answers and rules of the problems",
        NONE_RIGHT: "take easier problems or a stronger model, or raise sampling.samples",
        NONE_WORSE: "take harder problems, or raise sampling.samples or sampling.temperature",
        HELD: "raise sampling.samples",
        APART: "raise pairing.max_length_gap, or sampling.samples",
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
