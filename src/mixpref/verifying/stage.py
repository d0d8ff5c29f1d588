"""The stage `verify`: a verdict on every response."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import islice, zip_longest
from typing import TYPE_CHECKING, get_args

from mixpref.errors import MixprefError
from mixpref.progress import progress, say
from mixpref.records import Outcome, Problem, Response, Verdict
from mixpref.verifying import verify_all
from mixpref.verifying.lookup import Lookup, without_images
from mixpref.verifying.pool import Pool
from mixpref.verifying.verdicts import OPEN_DETAIL

if TYPE_CHECKING:
    from mixpref.rundir import Run
    from mixpref.store import Artifact
    from mixpref.verifying.judge import Judge

Read = Callable[[Problem, str, str], Verdict]
"""A benchmark's own way to a verdict: (problem, response's text, prompt style)."""

BATCH = 4096
"""Responses a shard of verdicts."""
OPEN = "errors for want of an answer or a judge"


def verify_responses(run: Run) -> None:
    """Fill `verdicts/` from `responses/` and `problems/train`: one verdict a response, in the responses' order.

    Shards that are there already stay. The manifest's counts are the verdicts by outcome, and of them those on
    responses that were cut at the token limit.

    Raises MixprefError where the responses are not complete, or where the judge cannot be asked at all.
    """
    if run.verdicts.finished:
        return
    if not run.responses.finished:
        raise MixprefError(f"{run.responses.path} is not complete; run `mixpref sample` first")
    counts = fill(run, without_images(run.problems("train")), run.responses, run.verdicts, description="verify")
    outcomes = ", ".join(f"{counts[outcome]} {outcome}" for outcome in get_args(Outcome))
    unread = f" ({counts[OPEN]} of them to open questions, which nobody can judge)" if OPEN in counts else ""
    say(f"verify: {counts['responses']} responses: {outcomes}{unread}")


def fill(
    run: Run,
    problems: Iterable[Problem],
    responses: Artifact[Response],
    verdicts: Artifact[Verdict],
    *,
    description: str,
    judge: Callable[[], Judge | None] | None = None,
    read: Read | None = None,
) -> dict[str, int]:
    """Judge every response and finish the artifact of verdicts. Returns the manifest's counts.

    judge: opens who reads open answers; None: the recipe's judge. read: gives verdicts in place of `verify`.
    """
    settings = run.recipe.verifying
    find = Lookup(problems)
    done = verdicts.done()
    total = len(responses)
    reader = iter(responses)
    asked = judge() if judge else judge_of(run)
    with (
        progress(description, total, done=min(total, BATCH * len(done))) as advance,
        Pool(settings.workers, settings.seconds, settings.memory_mb * 2**20) as pool,
        asked or nullcontext(),
    ):
        for index in range(-(-total // BATCH)):
            batch = list(islice(reader, BATCH))
            if (key := f"{index:05d}") in done:
                continue
            answered = [(find[each.problem_id], each) for each in batch]
            verdicts.append(key, verdicts_on(answered, asked, pool, read))
            advance(len(batch))
    outcomes: Counter[str] = Counter()
    truncated = unread = 0
    for response, verdict in judged(responses, verdicts):
        outcomes[verdict.outcome] += 1
        truncated += response.finish == "length"
        unread += verdict.outcome == "error" and verdict.detail == OPEN_DETAIL
    counts = {
        "responses": total,
        **{outcome: outcomes[outcome] for outcome in get_args(Outcome)},
        "cut at the token limit": truncated,
        **({OPEN: unread} if unread else {}),
    }
    verdicts.finish(asked.settings if asked else {}, counts)
    return counts


def judge_of(run: Run, *, name: str | None = None, url: str | None = None, rubric: str | None = None) -> Judge | None:
    """The judge that the run's recipe names, if it names one, or another. Its replies are kept in the run directory."""
    settings = run.recipe.verifying
    name = name or settings.judge
    if name is None:
        return None
    from mixpref.verifying.judge import Judge

    return Judge(
        name,
        url or settings.judge_url,
        rubric=rubric or settings.judge_rubric,
        concurrency=settings.judge_concurrency,
        cache=run.path / "judgements.sqlite",
    )


def judged(responses: Artifact[Response], verdicts: Artifact[Verdict]) -> Iterator[tuple[Response, Verdict]]:
    """Each response with its verdict. Raises MixprefError where the verdicts are on other responses than these."""
    for response, verdict in zip_longest(responses, verdicts):
        if response is None or verdict is None or verdict.response_id != response.id:
            raise MixprefError(
                f"{verdicts.path} does not belong to {responses.path}; delete {verdicts.path} and run again"
            )
        yield response, verdict


def verdicts_on(
    answered: Sequence[tuple[Problem, Response]],
    judge: Judge | None = None,
    pool: Pool | None = None,
    read: Read | None = None,
) -> list[Verdict]:
    """The verdicts on responses, in their order. One that could not be generated is an error, not a wrong answer."""
    texts = [(problem, each.text, each.style) for problem, each in answered if each.finish != "error"]
    found = (read(*text) for text in texts) if read else verify_all(texts, judge=judge, pool=pool)
    return [
        Verdict(outcome="error", detail=f"no response: {each.error}", response_id=each.id)
        if each.finish == "error"
        else replace(next(found), response_id=each.id)
        for _, each in answered
    ]
