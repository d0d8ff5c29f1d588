"""The index of held-out items and benchmarks: what each is filtered by, and where the answers to it lie.

Items are thousands where pairs are millions: they are read in plain Python, a row an item and style.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np

from mixpref.errors import MixprefError
from mixpref.records import Response, Verdict
from mixpref.reporting.cases import CUT, KINDS, NOT_JUDGED, Answered, Case, item_case, item_kind
from mixpref.reporting.changes import Asked, candidates, families, sets
from mixpref.reporting.index import Facet, Indexed, Listing, packed_gaps
from mixpref.reporting.questions import Questions, has, joined
from mixpref.reporting.served_pictures import addresses
from mixpref.reporting.shards import Shards

if TYPE_CHECKING:
    from mixpref.rundir import Run

HELD_OUT = "held_out"
"""Name of the set of the held-out problems in the addresses of their pictures."""


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """Where an answer lies, response and verdict alike, and what is filtered by."""

    number: int
    outcome: str
    tokens: int
    cut: bool


@dataclass(frozen=True, kw_only=True)
class _Model:
    """A model's answers to one set in one style."""

    role: str
    responses: Shards[Response]
    verdicts: Shards[Verdict]
    answers: Mapping[str, _Answer]
    """By problem id."""

    def having(self, text: str) -> np.ndarray:
        """Which responses have the text; in the end one more that has not, for the number -1."""
        return np.append(joined(self.responses.each(lambda table: has(table["text"], text), "text")), False)

    def at(self, problem_ids: Sequence[str]) -> dict[str, Answered]:
        """What the model answered to some problems, by id."""
        numbers = {each: self.answers[each].number for each in problem_ids if each in self.answers}
        responses, verdicts = self.responses.at(numbers.values()), self.verdicts.at(numbers.values())
        return {
            each: Answered(role=self.role, response=responses.get(place), verdict=verdicts.get(place))
            for each in problem_ids
            for place in (numbers.get(each, -1),)
        }


@dataclass(frozen=True, kw_only=True)
class _Compared:
    """A set in one style, answered by two models: rows of the index that follow each other."""

    split: str
    name: str
    style: str
    questions: Questions
    families: Mapping[str, str]
    before: _Model
    after: _Model
    problem_ids: Sequence[str]
    numbers: np.ndarray
    """Of the problems; -1 for one that is gone."""

    def matching(self, text: str) -> np.ndarray:
        found = np.append(self.questions.matching(text), False)[self.numbers]
        for model in (self.before, self.after):
            places = [model.answers[each].number if each in model.answers else -1 for each in self.problem_ids]
            found |= model.having(text)[places]
        return found

    def cases(self, rows: Sequence[int]) -> list[Case]:
        ids = [self.problem_ids[row] for row in rows]
        before, after = self.before.at(ids), self.after.at(ids)
        problems = self.questions.problems.at(int(self.numbers[row]) for row in rows if self.numbers[row] >= 0)
        cases = []
        for row, problem_id in zip(rows, ids, strict=True):
            problem = problems.get(int(self.numbers[row]))
            pictures = addresses(self.split, problem)
            asked = problem and replace(problem, family=self.families.get(problem_id, ""))
            cases.append(item_case(asked, self.style, self.name, before[problem_id], after[problem_id], pictures))
        return cases


def index_items(run: Run) -> Indexed:
    """Read what the two models answered that `changes` compares, wherever both were evaluated.

    Raises MixprefError where a shard cannot be read, or where verdicts are on other responses.
    """
    compared: list[_Compared] = []
    questions: dict[str, Questions] = {}
    first, second = candidates(run)
    for asked in sets(run):
        # A benchmark's folder can have no such name: it begins with a hyphen.
        split = asked.folder or HELD_OUT
        for style in ("cot", "direct"):
            before = next((each for role in first if (each := _model(run, asked, role, style)).answers), None)
            others = [role for role in second if before and role != before.role]
            after = next((each for role in others if (each := _model(run, asked, role, style)).answers), None)
            if before is None or after is None:
                continue
            if split not in questions:
                questions[split] = Questions(asked.problems)
            compared.append(_compare(asked, split, style, questions[split], before, after))
    return Indexed(listing=_listing(compared), questions=questions)


def _compare(asked: Asked, split: str, style: str, questions: Questions, before: _Model, after: _Model) -> _Compared:
    places = {problem_id: number for number, problem_id in enumerate(questions.ids.to_pylist())}
    problem_ids = list(dict.fromkeys((*before.answers, *after.answers)))
    return _Compared(
        split=split,
        name=asked.name,
        style=style,
        questions=questions,
        families=families(asked),
        before=before,
        after=after,
        problem_ids=problem_ids,
        numbers=np.array([places.get(each, -1) for each in problem_ids]),
    )


def _listing(compared: Sequence[_Compared]) -> Listing:
    import pyarrow

    rows = [(each, problem_id) for each in compared for problem_id in each.problem_ids]
    both = [(each.before.answers.get(problem_id), each.after.answers.get(problem_id)) for each, problem_id in rows]
    values = {
        "kind": [item_kind(_verdict(before), _verdict(after)) for before, after in both],
        "style": [each.style for each, _ in rows],
        "benchmark": [each.name for each, _ in rows],
        "family": [each.families.get(problem_id, "") for each, problem_id in rows],
        "outcome": [NOT_JUDGED if not after else CUT if after.cut else after.outcome for _, after in both],
    }
    facets = {
        name: Facet.of(pyarrow.array(column, pyarrow.string()), KINDS if name == "kind" else ())
        for name, column in values.items()
    }
    one = np.array([before.tokens if before else -1 for before, _ in both], dtype=np.int64)
    other = np.array([after.tokens if after else -1 for _, after in both], dtype=np.int64)
    starts = np.cumsum([0, *(len(each.problem_ids) for each in compared)])

    def matching(text: str) -> np.ndarray:
        return joined(each.matching(text) for each in compared)

    def cases(numbers: Sequence[int]) -> list[Case]:
        found = []
        for each, start, end in zip(compared, starts[:-1], starts[1:], strict=True):
            found += each.cases([number - int(start) for number in numbers if start <= number < end])
        return found

    # Positive: the second model wrote more.
    return Listing(facets, packed_gaps(other, one), matching, cases)


def _model(run: Run, asked: Asked, role: str, style: str) -> _Model:
    artifacts = asked.answers(run, role, style)
    # In this order: an evaluation that is going on may judge a response between the two.
    verdicts, responses = Shards(artifacts[1]), Shards(artifacts[0])
    judged = zip_longest(
        responses.rows("problem_id", "sample", "tokens", "finish"), verdicts.rows("response_id", "outcome")
    )
    answers: dict[str, _Answer] = {}
    for number, (response, verdict) in enumerate(judged):
        # An evaluation that is going on has responses that nobody has judged yet.
        if verdict is None:
            break
        if response is None or verdict[0] != f"{response[0]}-{response[1]}":
            raise MixprefError(
                f"{verdicts.path} does not belong to {responses.path}; delete {verdicts.path} and run again"
            )
        problem_id, _, tokens, finish = response
        answers[problem_id] = _Answer(number=number, outcome=verdict[1], tokens=tokens, cut=finish == "length")
    return _Model(role=role, responses=responses, verdicts=verdicts, answers=answers)


def _verdict(answer: _Answer | None) -> Verdict | None:
    return Verdict(outcome=answer.outcome) if answer else None  # type: ignore[arg-type]
