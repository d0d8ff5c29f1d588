"""A pass: all requests of a plan through an engine, into an artifact of responses.

A unit of the plan becomes a shard, written when all its requests are answered; so the bytes do not depend on the order
in which answers come, on the number of workers, or on interruptions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from mixpref.engines.request import Engine, Request, Sampling
from mixpref.progress import progress
from mixpref.records import Response
from mixpref.sampling.journal import Answers, Journal
from mixpref.sampling.plan import Plan
from mixpref.store import Artifact

Answered = Iterator[tuple[str, Sequence[tuple[Response, ...]]]]
"""(a unit's key, the responses to each of its requests), in any order."""
Answering = Callable[[Plan, Sequence[str], Path], Answered]
"""Answers the units of a plan with these keys; the path is where a journal may be kept."""


def fill(plan: Plan, artifact: Artifact[Response], answering: Answering, journal: Path, description: str) -> None:
    """Append the shards that are missing. An engine is made only if any is."""
    keys = plan.keys()
    done = artifact.done()
    missing = [key for key in keys if key not in done]
    total = len(plan.asks)
    with progress(description, total, done=sum(len(plan.asks_of(key)) for key in keys if key in done)) as advance:
        if not missing:
            return
        for key, answers in answering(plan, missing, journal):
            artifact.append(key, [response for responses in answers for response in responses])
            advance(len(answers))


def here(make: Callable[[], Engine], sampling: Sampling, *, journaled: bool) -> Answering:
    """Answering by one engine in this process.

    journaled: answers come one by one and cost much, so those of units that are not complete are kept on the disk.
    """

    def answering(plan: Plan, keys: Sequence[str], path: Path) -> Answered:
        journal = Journal(path)
        units: dict[str, Answers] = journal.read() if journaled else {}
        units = {key: units.get(key, {}) for key in keys if units.get(key)}
        sizes = {key: len(plan.asks_of(key)) for key in units}
        with journal:
            if journaled:
                journal.begin(units)
            places: dict[int, tuple[str, int]] = {}
            complete = [key for key in units if len(units[key]) == sizes[key]]

            def requests() -> Iterator[Request]:
                turn = 0
                for key in keys:
                    if key in complete:
                        continue
                    asked = plan[key]
                    sizes[key] = len(asked)
                    answered = {*units.get(key, ())}
                    for place, request in enumerate(asked):
                        if place not in answered:
                            places[turn] = (key, place)
                            turn += 1
                            yield request

            # A run may have been killed between a unit's last answer and its shard.
            for key in complete:
                yield key, _in_order(units.pop(key))
            for turn, responses in make().answer(requests(), sampling):
                key, place = places.pop(turn)
                answers = units.setdefault(key, {})
                answers[place] = responses
                if journaled:
                    journal.add(key, place, responses, units)
                if len(answers) == sizes[key]:
                    yield key, _in_order(units.pop(key))
            assert not units, f"{len(units)} units were not answered in full"
            journal.remove()

    return answering


def on_ray(make: Callable[[], Engine], sampling: Sampling, workers: int, gpus: float, address: str | None) -> Answering:
    """Answering by several engines on Ray (`engines/ray.py`), which hands back whole units."""

    def answering(plan: Plan, keys: Sequence[str], path: Path) -> Answered:
        from mixpref.engines.ray import answer_units

        return answer_units(plan, keys, make, sampling, workers=workers, gpus=gpus, address=address)

    return answering


def _in_order(answers: Answers) -> list[tuple[Response, ...]]:
    return [answers[place] for place in sorted(answers)]
