"""The stage `verify`: a verdict on every response."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice, zip_longest
from typing import TYPE_CHECKING, get_args

from mixpref.errors import MixprefError
from mixpref.progress import progress, say
from mixpref.records import Outcome, Problem, Response, Verdict
from mixpref.verifying import verify
from mixpref.verifying.lookup import Lookup

if TYPE_CHECKING:
    from mixpref.rundir import Run
    from mixpref.store import Artifact

BATCH = 4096
"""Responses a shard of verdicts."""


def verify_responses(run: Run) -> None:
    """Fill `verdicts/` from `responses/` and `problems/train`: one verdict a response, in the responses' order.

    Shards that are there already stay. The manifest's counts are the verdicts by outcome, and of them those on
    responses that were cut at the token limit.

    Raises MixprefError where the responses are not complete.
    """
    if run.verdicts.finished:
        return
    if not run.responses.finished:
        raise MixprefError(f"{run.responses.path} is not complete; run `mixpref sample` first")
    counts = judge(run.problems("train"), run.responses, run.verdicts, description="verify")
    outcomes = ", ".join(f"{counts[outcome]} {outcome}" for outcome in get_args(Outcome))
    say(f"verify: {counts['responses']} responses: {outcomes}")


def judge(
    problems: Iterable[Problem], responses: Artifact[Response], verdicts: Artifact[Verdict], *, description: str
) -> dict[str, int]:
    """Judge every response and finish the artifact of verdicts. Returns the manifest's counts."""
    find = Lookup(problems)
    done = verdicts.done()
    total = len(responses)
    reader = iter(responses)
    with progress(description, total, done=min(total, BATCH * len(done))) as advance:
        for index in range(-(-total // BATCH)):
            batch = list(islice(reader, BATCH))
            if (key := f"{index:05d}") in done:
                continue
            verdicts.append(key, [verdict_on(find[response.problem_id], response) for response in batch])
            advance(len(batch))
    outcomes: Counter[str] = Counter()
    truncated = 0
    for response, verdict in judged(responses, verdicts):
        outcomes[verdict.outcome] += 1
        truncated += response.finish == "length"
    counts = {
        "responses": total,
        **{outcome: outcomes[outcome] for outcome in get_args(Outcome)},
        "cut at the token limit": truncated,
    }
    verdicts.finish({}, counts)
    return counts


def judged(responses: Artifact[Response], verdicts: Artifact[Verdict]) -> Iterator[tuple[Response, Verdict]]:
    """Each response with its verdict. Raises MixprefError where the verdicts are on other responses than these."""
    for response, verdict in zip_longest(responses, verdicts):
        if response is None or verdict is None or verdict.response_id != response.id:
            raise MixprefError(
                f"{verdicts.path} does not belong to {responses.path}; delete {verdicts.path} and run again"
            )
        yield response, verdict


def verdict_on(problem: Problem, response: Response) -> Verdict:
    """The verdict on one response. A response that could not be generated is an error, not a wrong answer."""
    if response.finish == "error":
        return Verdict(outcome="error", detail=f"no response: {response.error}", response_id=response.id)
    return replace(verify(problem, response.text, response.style), response_id=response.id)
