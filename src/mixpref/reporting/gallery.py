"""The cases that the page holds: pairs and held-out items, drawn so that each kind and family is there, and thumbnails.

A run may have a million pairs; a page that opens at once holds some hundred. Records are read as a stream, and only
what is shown is kept.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import TYPE_CHECKING

from mixpref.records import PreferencePair, Problem, Response, Verdict
from mixpref.reporting.cases import KINDS, Answered, Case, item_case, pair_case, response_of
from mixpref.reporting.changes import Found, answers_of, families
from mixpref.reporting.drawn import draw
from mixpref.reporting.pictures import Album
from mixpref.seeds import derive
from mixpref.store import Artifact

if TYPE_CHECKING:
    from mixpref.rundir import Run

PAIRS = 500
"""Pairs in the file at most."""
ITEMS = 500
"""Held-out items in the file at most, each in one style."""
BYTES = 8_000_000
"""Characters of the cases of either list at most, their pictures included: the file stays under 20 MB."""


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """Cases to look at, the pictures in them as keys of `pictures`."""

    pairs: Sequence[Case] = ()
    items: Sequence[Case] = ()
    pictures: Mapping[str, str] = field(default_factory=dict)
    """Data URIs by key."""


def gallery(run: Run, found: Sequence[Found], *, pairs: int = PAIRS, items: int = ITEMS) -> Gallery:
    """Draw at most `pairs` pairs and `items` of the items found, by the run's seed."""
    album = Album()
    some_pairs = _pairs(run, pairs, album) if pairs else []
    some_items = _items(run, found, items, album) if items else []
    used = {key for case in (*some_pairs, *some_items) for key in case["pictures"]}
    return Gallery(
        pairs=some_pairs,
        items=some_items,
        pictures={key: uri for key, uri in album.pictures.items() if key in used},
    )


def _pairs(run: Run, most: int, album: Album) -> list[Case]:
    seed = run.recipe.seed
    problems = run.problems("train")
    kinds = dict(problems.columns("id", "family"))
    rows = run.pairs.columns("why", "problem_id", "rejected_complete")
    drawn = draw(
        (
            ((why, kinds.get(problem_id, ""), str(complete)), derive(seed, "report", why, problem_id, number))
            for number, (why, problem_id, complete) in enumerate(rows)
        ),
        most,
    )
    sample = {number: pair for number, pair in enumerate(run.pairs) if number in drawn}
    texts = {
        response_id for pair in sample.values() for origin in _origins(pair) if (response_id := response_of(origin))
    }
    known = _judged(run, texts)
    asked = _problems(problems, {pair.problem_id for pair in sample.values()}, album)

    def cases() -> Iterator[tuple[int, Case]]:
        for number in sorted(sample, key=lambda number: derive(seed, "order", number)):
            pair = sample[number]
            problem, pictures = asked.get(pair.problem_id, (None, []))
            one, other = (known.get(response_of(origin) or "", (None, None)) for origin in _origins(pair))
            yield number, pair_case(pair, problem, one[0], other[0], (one[1], other[1]), pictures)

    kept = _that_fit(cases(), album.pictures)
    return [kept[number] for number in sorted(kept, key=lambda number: (kept[number]["kind"], number))]


def _items(run: Run, found: Sequence[Found], most: int, album: Album) -> list[Case]:
    seed = run.recipe.seed
    sets = {each.asked.name: each.asked for each in found}
    kinds = {name: families(asked) for name, asked in sets.items()}
    drawn = draw(
        (
            (
                (each.asked.name, each.style, each.kind),
                derive(seed, "report", each.asked.name, each.style, each.problem_id),
            )
            for each in found
        ),
        most,
    )
    sample = {number: found[number] for number in drawn}
    answers = answers_of(list(sample.values()), run)
    asked = {
        name: _problems(each.problems, {item.problem_id for item in sample.values() if item.asked.name == name}, album)
        for name, each in sets.items()
    }

    def cases() -> Iterator[tuple[int, Case]]:
        for number in sorted(sample, key=lambda number: derive(seed, "order", number)):
            item = sample[number]
            name = item.asked.name
            problem, pictures = asked[name].get(item.problem_id, (None, []))
            family = kinds[name].get(item.problem_id, "")
            before, after = (
                _answered(role, answers.get((name, item.style, role, item.problem_id)))
                for role in (item.before, item.after)
            )
            yield (
                number,
                item_case(problem and replace(problem, family=family), item.style, name, before, after, pictures),
            )

    kept = _that_fit(cases(), album.pictures)
    return [kept[number] for number in sorted(kept, key=lambda number: (KINDS.index(kept[number]["kind"]), number))]


def _answered(role: str, answer: tuple[Response, Verdict] | None) -> Answered:
    response, verdict = answer or (None, None)
    return Answered(role=role, response=response, verdict=verdict)


def _that_fit(cases: Iterator[tuple[int, Case]], pictures: Mapping[str, str]) -> dict[int, Case]:
    """Of the cases, as they come, those for which there are `BYTES`."""
    kept: dict[int, Case] = {}
    paid: set[str | None] = {None}
    room = BYTES
    for number, case in cases:
        fresh = {*case["pictures"]} - paid
        room -= len(json.dumps(case, ensure_ascii=False).encode()) + sum(len(pictures[key]) for key in fresh)
        if room < 0:
            break
        paid |= fresh
        kept[number] = case
    return kept


def _origins(pair: PreferencePair) -> tuple[str, str]:
    return pair.chosen_origin, pair.rejected_origin


def _judged(run: Run, wanted: Collection[str]) -> dict[str, tuple[Verdict | None, int | None]]:
    """(verdict, tokens) of some of the sampled responses, by id; of a response without a verdict the tokens alone."""
    found: dict[str, tuple[Verdict | None, int | None]] = {}
    responses = run.responses.columns("problem_id", "sample", "tokens")
    verdicts = run.verdicts.columns("response_id", "outcome", "answer", "detail")
    for response, verdict in zip_longest(responses, verdicts):
        if response is None or (response_id := f"{response[0]}-{response[1]}") not in wanted:
            continue
        said = Verdict(outcome=verdict[1], answer=verdict[2], detail=verdict[3]) if verdict else None
        found[response_id] = said, response[2]
    return found


def _problems(
    problems: Artifact[Problem], wanted: Collection[str], album: Album
) -> dict[str, tuple[Problem, list[str | None]]]:
    """Problems without their images, with the keys of their thumbnails, by id."""
    found = {}
    # One at a time, in the order in which they lie there: a shard is read once, and images are not kept.
    for number, (problem_id,) in enumerate(problems.columns("id")):
        if problem_id in wanted:
            (problem,) = problems.at([number])
            found[problem_id] = replace(problem, images=()), album.keys(problem.images)
    return found
