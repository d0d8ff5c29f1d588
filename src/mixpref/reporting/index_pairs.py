"""The index of a run's pairs: what each is filtered by, and where its problem and the verdicts on its texts lie."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from mixpref.records import Outcome, Verdict
from mixpref.reporting.cases import CUT, NOT_JUDGED, Case, pair_case
from mixpref.reporting.index import Facet, Indexed, Listing, packed_gaps
from mixpref.reporting.questions import Questions, blocks, has, joined
from mixpref.reporting.served_pictures import addresses
from mixpref.reporting.shards import Shards

if TYPE_CHECKING:
    import pyarrow

    from mixpref.rundir import Run

TRAIN = "train"
"""Name of the set of the pairs' problems."""
_OUTCOMES = (*get_args(Outcome), CUT, NOT_JUDGED)
# The response that a text is, as `cases.response_of` reads it, cut into the problem's id and the sample's number.
_RESPONSE = r"^\s*(?P<problem>\S*)-(?P<sample>[0-9]{1,6})(?:\s|$)"
_BLIND = r"(?:^|\s)blind\s*$"
_SAMPLES = 1_000_000
_BLOCK = 262_144
"""Rows of responses and verdicts that are looked up at once."""


@dataclass(frozen=True, kw_only=True)
class _Judged:
    """What is known of the sampled responses that are texts of pairs: arrays in the order of their keys."""

    keys: np.ndarray
    verdicts: np.ndarray
    """Numbers in the artifact of verdicts; -1: no verdict."""
    outcomes: np.ndarray
    """Places in `_OUTCOMES`."""
    tokens: np.ndarray
    """-1: not known."""

    def of(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Verdicts, outcomes and tokens of the responses with some keys, which all are there, or -1 for no response."""
        if not len(self.keys):
            nothing = np.full(len(keys), -1, np.int32)
            return nothing, np.full(len(keys), _OUTCOMES.index(NOT_JUDGED), np.int8), nothing
        places = np.searchsorted(self.keys, np.maximum(keys, self.keys[0]))
        none = keys < 0
        return (
            np.where(none, -1, self.verdicts[places]),
            np.where(none, _OUTCOMES.index(NOT_JUDGED), self.outcomes[places]),
            np.where(none, -1, self.tokens[places]),
        )


def index_pairs(run: Run) -> Indexed:
    """Read the run's pairs, finished or not, their problems, and of responses and verdicts those that pairs name.

    Raises MixprefError where a shard cannot be read.
    """
    pairs, verdicts = Shards(run.pairs), Shards(run.verdicts)
    questions = Questions(run.problems("train"))
    table = _columns(pairs)
    problems = _numbers(table.column("problem_id"), questions.ids)
    one, other, judged = _texts(table, run, verdicts)
    (chosen, _, ones), (rejected, outcomes, others) = judged.of(one), judged.of(other)
    cut = np.asarray(table.column("cut"))
    tokens = np.stack([ones, others])

    def found(text: str) -> np.ndarray:
        here = joined(pairs.each(lambda texts: has(texts["chosen"], text) | has(texts["rejected"], text), *_TEXTS))
        # Pairs whose problem is gone have the number -1: the last one, which has no text.
        return here | np.append(questions.matching(text), False)[problems]

    def cases(numbers: Sequence[int]) -> list[Case]:
        records = pairs.at(numbers)
        asked = questions.problems.at(problems[number] for number in numbers if problems[number] >= 0)
        wanted = (judged[number] for judged in (chosen, rejected) for number in numbers if judged[number] >= 0)
        said = verdicts.at(wanted)

        def case(number: int) -> Case:
            problem = asked.get(problems[number])
            known = [None if each < 0 else int(each) for each in tokens[:, number]]
            return pair_case(
                records[number],
                problem,
                said.get(chosen[number]),
                said.get(rejected[number]),
                (known[0], known[1]),
                addresses(TRAIN, problem),
            )

        return [case(number) for number in numbers]

    facets = {
        "kind": Facet.of(table.column("why").combine_chunks()),
        "family": Facet.of(questions.families).at(problems),
        "outcome": Facet(names=_OUTCOMES, codes=np.where(cut, _OUTCOMES.index(CUT), outcomes)),
    }
    return Indexed(
        listing=Listing(facets, packed_gaps(ones, others), found, cases),
        questions={TRAIN: questions},
    )


_TEXTS = ("chosen", "rejected")


def _columns(pairs: Shards[Any]) -> pyarrow.Table:
    """Of each pair problem_id, why, cut, and for both texts problem and sample of the response that it is, or null."""
    import pyarrow
    from pyarrow import compute

    origins = [f"{text}_origin" for text in _TEXTS]
    parts = pyarrow.struct([("problem", pyarrow.string()), ("sample", pyarrow.string())])
    schema = pyarrow.schema(
        [
            ("problem_id", pyarrow.string()),
            ("why", pyarrow.string()),
            ("cut", pyarrow.bool_()),
            *((text, parts) for text in _TEXTS),
        ]
    )

    def responses(table: pyarrow.Table, origin: str) -> pyarrow.ChunkedArray:
        named = compute.extract_regex(table.column(origin), _RESPONSE)
        blind = compute.match_substring_regex(table.column(origin), _BLIND)
        return compute.if_else(blind, pyarrow.scalar(None, parts), named)

    read = [
        pyarrow.table(
            [
                table.column("problem_id"),
                table.column("why"),
                compute.invert(table.column("rejected_complete")),
                *(responses(table, origin) for origin in origins),
            ],
            schema=schema,
        )
        for table in pairs.tables("problem_id", "why", "rejected_complete", *origins)
    ]
    return pyarrow.concat_tables(read) if read else schema.empty_table()


def _texts(table: pyarrow.Table, run: Run, verdicts: Shards[Verdict]) -> tuple[np.ndarray, np.ndarray, _Judged]:
    """The keys of the responses that the chosen and the rejected texts are, and what is known of them."""
    import pyarrow
    from pyarrow import compute

    named = [compute.struct_field(table.column(text), "problem") for text in _TEXTS]
    chunks = [chunk for column in named for chunk in column.chunks]
    ids = compute.unique(pyarrow.chunked_array(chunks, pyarrow.string())).drop_null()
    keys = [
        _keys(ids, problems, compute.struct_field(table.column(text), "sample"))
        for problems, text in zip(named, _TEXTS, strict=True)
    ]
    wanted = np.unique(np.concatenate(keys))
    wanted = wanted[wanted >= 0]
    judged = _Judged(
        keys=wanted,
        verdicts=np.full(len(wanted), -1, np.int32),
        outcomes=np.full(len(wanted), _OUTCOMES.index(NOT_JUDGED), np.int8),
        tokens=np.full(len(wanted), -1, np.int32),
    )
    # A run that was only sampled has no pairs to look anything up for.
    if len(wanted):
        for places, rows, numbers in _wanted(wanted, ids, verdicts, "response_id", "outcome"):
            codes = compute.index_in(rows.column("outcome"), value_set=pyarrow.array(_OUTCOMES))
            judged.verdicts[places] = numbers
            judged.outcomes[places] = np.asarray(codes)
        for places, rows, _ in _wanted(wanted, ids, Shards(run.responses), "problem_id", "sample", "tokens"):
            judged.tokens[places] = np.asarray(rows.column("tokens"))
    return keys[0], keys[1], judged


def _wanted(
    wanted: np.ndarray, ids: pyarrow.Array, shards: Shards[Any], *columns: str
) -> Iterator[tuple[np.ndarray, pyarrow.Table, np.ndarray]]:
    """Of the rows of an artifact those of wanted responses: their places among the wanted, the rows, their numbers."""
    from pyarrow import compute

    start = 0
    for block in blocks(shards.tables(*columns), _BLOCK):
        if "response_id" in columns:
            parts = compute.extract_regex(block.column("response_id"), _RESPONSE)
            keys = _keys(ids, compute.struct_field(parts, "problem"), compute.struct_field(parts, "sample"))
        else:
            keys = _keys(ids, block.column("problem_id"), block.column("sample"))
        places = np.searchsorted(wanted, keys)
        hits = np.flatnonzero((keys >= 0) & (wanted[np.minimum(places, len(wanted) - 1)] == keys))
        yield places[hits], block.take(hits), start + hits
        start += block.num_rows


def _keys(ids: pyarrow.Array, problems: Any, samples: Any) -> np.ndarray:
    """A number for each response, equal only for the same one; -1 where its problem is none of these."""
    from pyarrow import compute

    numbers = _numbers(problems, ids)
    samples = np.asarray(compute.fill_null(compute.cast(samples, "int64"), 0))
    return np.where((numbers < 0) | (samples >= _SAMPLES), -1, numbers * _SAMPLES + samples)


def _numbers(values: Any, among: Any) -> np.ndarray:
    """The place of each string among others; -1 where it is none of them, or null."""
    from pyarrow import compute

    places = compute.index_in(values, value_set=among, skip_nulls=True)
    return np.asarray(compute.fill_null(places, -1)).astype(np.int64)
