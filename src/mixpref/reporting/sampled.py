"""What sampling, judging and pairing made of a run's training problems, counted in one pass over each artifact.

Only whole numbers and short texts are read here, never a response's text or an image: a run of a million responses is
counted in seconds and in little memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby, zip_longest
from operator import itemgetter
from typing import TYPE_CHECKING, get_args

from mixpref.errors import MixprefError
from mixpref.records import Outcome
from mixpref.reporting.cases import length_gap, response_of

if TYPE_CHECKING:
    from mixpref.rundir import Run

BINS = 20
"""Bins of the length gap, each a tenth wide, from -1 to 1."""


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """The sampled responses and their verdicts; all empty before there are any."""

    finishes: Mapping[str, int] = field(default_factory=dict)
    """Responses by finish reason."""
    outcomes: Mapping[str, int] = field(default_factory=dict)
    """Verdicts by outcome."""
    families: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Verdicts by the problem's family, then by outcome; families in the order of their names."""
    tokens: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    """Responses by outcome (correct, wrong), then by their number of tokens."""
    solved: Mapping[tuple[int, int], int] = field(default_factory=dict)
    """Problems by (samples judged without error, correct ones among them)."""


@dataclass(frozen=True, kw_only=True)
class Paired:
    """The preference pairs."""

    kinds: Mapping[str, int] = field(default_factory=dict)
    """Pairs by why."""
    problems: int = 0
    """Problems that have a pair."""
    tokens: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    """Texts by side (chosen, rejected), then by their number of tokens; those of unknown length are in none."""
    gaps: Mapping[int, int] = field(default_factory=dict)
    """Pairs by length gap (`cases.length_gap`), as the bin's number from -BINS/2."""
    of_unknown_length: int = 0


class Lengths:
    """Tokens of the two texts of pairs, which are known when their problem's responses come by."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[tuple[int | None, int | None]]] = {}
        self.sides: dict[str, Counter[int]] = {"chosen": Counter(), "rejected": Counter()}
        self.gaps: Counter[int] = Counter()
        self._met_unknown = 0

    def add(self, problem_id: str, chosen_origin: str, rejected_origin: str) -> None:
        """A pair, by the origins of its texts."""
        samples = tuple(sample_of(problem_id, origin) for origin in (chosen_origin, rejected_origin))
        self._waiting.setdefault(problem_id, []).append((samples[0], samples[1]))

    def meet(self, problem_id: str, tokens: Mapping[int, int]) -> None:
        """Count the pairs of a problem, whose responses have so many tokens by the number of the sample."""
        for one, other in self._waiting.pop(problem_id, ()):
            chosen, rejected = (None if each is None else tokens.get(each) for each in (one, other))
            gap = length_gap(chosen, rejected)
            if gap is None or chosen is None or rejected is None:
                self._met_unknown += 1
                continue
            self.sides["chosen"][chosen] += 1
            self.sides["rejected"][rejected] += 1
            self.gaps[gap_bin(gap)] += 1

    @property
    def unknown(self) -> int:
        """Pairs with a text that is no response of this run."""
        return self._met_unknown + sum(map(len, self._waiting.values()))


def count(run: Run, families: Mapping[str, str]) -> tuple[Sampled, Paired]:
    """families: of the training problems, by problem id."""
    kinds: Counter[str] = Counter()
    problems: set[str] = set()
    lengths = Lengths()
    for why, problem_id, chosen, rejected in run.pairs.columns("why", "problem_id", "chosen_origin", "rejected_origin"):
        kinds[why] += 1
        problems.add(problem_id)
        lengths.add(problem_id, chosen, rejected)
    sampled = _responses(run, families, lengths)
    paired = Paired(
        kinds={why: kinds[why] for why in sorted(kinds)},
        problems=len(problems),
        tokens=lengths.sides if lengths.gaps else {},
        gaps=lengths.gaps,
        of_unknown_length=lengths.unknown,
    )
    return sampled, paired


def sample_of(problem_id: str, origin: str) -> int | None:
    """Number of the sample that a pair's text is, by its origin; None for a text that is no response to the problem."""
    asked, _, sample = (response_of(origin) or "").rpartition("-")
    return int(sample) if asked == problem_id and sample.isdecimal() else None


def gap_bin(gap: float) -> int:
    """Which of the `BINS` bins a gap in -1..1 is in; the middle of bin b is (b + 1/2) * 2 / BINS."""
    return min(int((gap + 1) * BINS / 2), BINS - 1) - BINS // 2


def outcomes_by_response(run: Run) -> Iterator[tuple[str, int, int, str, str | None]]:
    """(problem id, sample, tokens, finish, outcome) of each response; the outcome is None where it is not judged yet.

    Raises MixprefError where the verdicts are on other responses.
    """
    responses = run.responses.columns("problem_id", "sample", "tokens", "finish")
    for response, verdict in zip_longest(responses, run.verdicts.columns("response_id", "outcome")):
        if response is None or (verdict and verdict[0] != f"{response[0]}-{response[1]}"):
            raise MixprefError(
                f"{run.verdicts.path} does not belong to {run.responses.path}; delete {run.verdicts.path} and run "
                "`mixpref verify` again"
            )
        yield *response, verdict[1] if verdict else None


def _responses(run: Run, families: Mapping[str, str], lengths: Lengths) -> Sampled:
    finishes: Counter[str] = Counter()
    by_family: dict[str, Counter[str]] = {}
    tokens: dict[str, Counter[int]] = {"correct": Counter(), "wrong": Counter()}
    solved: Counter[tuple[int, int]] = Counter()
    for problem_id, rows in groupby(outcomes_by_response(run), key=itemgetter(0)):
        group = list(rows)
        lengths.meet(problem_id, {sample: size for _, sample, size, _, _ in group})
        finishes.update(finish for *_, finish, _ in group)
        outcomes = Counter(outcome for *_, outcome in group if outcome)
        if not outcomes:
            continue
        by_family.setdefault(families.get(problem_id, ""), Counter()).update(outcomes)
        # A problem with nothing but errors stays in the count, with no samples.
        solved[outcomes.total() - outcomes["error"], outcomes["correct"]] += 1
        for _, _, size, _, outcome in group:
            if outcome in tokens:
                tokens[outcome][size] += 1
    return Sampled(
        finishes=finishes,
        outcomes=_ordered(sum(by_family.values(), Counter())),
        families={family: _ordered(by_family[family]) for family in sorted(by_family)},
        tokens={outcome: sizes for outcome, sizes in tokens.items() if sizes},
        solved=solved,
    )


def _ordered(counts: Counter[str]) -> dict[str, int]:
    return {outcome: counts[outcome] for outcome in get_args(Outcome) if counts[outcome]}
