"""Pairs from elsewhere: JSON lines with votes on this run's responses, or with two texts to one of its problems.

    {"chosen": ID, "rejected": ID, "by": NAME}            a vote; IDs of responses; by may be left out
    {"problem_id": ID, "chosen": TEXT, "rejected": TEXT}  a pair; or "question", its exact text, for the problem;
                                                          may have why, style, origin

Every row comes out once: in a pair, or as `Rejected` with its line and the reason. The files are read twice: first
each row is checked and only its place kept, then the rows of one problem are read again when they are asked for. So
they need not fit into memory.
"""

from __future__ import annotations

import glob
import json
import re
import typing
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixpref.errors import MixprefError
from mixpref.pairing import votes
from mixpref.pairing.votes import Vote
from mixpref.prompts import IMAGE, STYLES
from mixpref.records import PreferencePair, Problem, Response, Verdict, Why, content_hash
from mixpref.sources.loaded import Rejected
from mixpref.sources.unusable import Unusable

_RESPONSE = re.compile(r"\S+-\d+")
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, order=True)
class _Place:
    """Where a row is."""

    file: int
    line: int
    offset: int
    """Bytes before the line."""
    checksum: int


@dataclass(frozen=True)
class _Given:
    """A pair of texts as a row has it; empty where it says nothing."""

    problem_id: str
    question: str
    chosen: str
    rejected: str
    why: Why
    style: str
    origin: str


class Foreign:
    """The rows of the files, by problem. Made by `read`."""

    def __init__(
        self, files: list[Path], waiting: dict[str, list[_Place]], refused: list[Rejected], rows: int, style: str
    ) -> None:
        self._files = files
        self._waiting = waiting
        self._refused = refused
        self._rows = rows
        self._style = style
        self._pairs: Counter[str] = Counter()

    def of(self, problem: Problem, responses: Iterable[tuple[Response, Verdict]]) -> list[PreferencePair]:
        """The pairs of a problem, votes first, each kind in the order of the rows. To be asked for once a problem.

        A pair without a style is in that of the responses, or where there are none in the default that `read` got.
        Raises MixprefError where a file has changed since it was read first.
        """
        cast: list[tuple[_Place, Vote]] = []
        given: list[tuple[_Place, _Given]] = []
        for place in self._waiting.pop(problem.id, []):
            row = _parse(self._again(place))
            if isinstance(row, Vote):
                cast.append((place, row))
            else:
                given.append((place, row))
        if not cast and not given:
            return []
        answers = [response for response, _ in responses]
        pairs, refused = votes.tally([vote for _, vote in cast], answers)
        self._refuse((cast[number][0], reason) for number, reason in refused)
        default = answers[0].style if answers else self._style
        kept, unkept = _kept(given)
        self._refuse(unkept)
        pairs += [self._pair(problem, place, row, default) for place, row in kept]
        self._pairs.update(pair.why for pair in pairs)
        return pairs

    def rejected(self) -> list[Rejected]:
        """The rows that are in no pair so far, each with the reason; those whose problem was not asked for last."""
        order = {str(file): number for number, file in enumerate(self._files)}
        never = [
            self._rejected(place, Unusable("not asked for", "its problem has no responses in this run"))
            for place in sorted(place for places in self._waiting.values() for place in places)
        ]
        return sorted(self._refused, key=lambda each: (order[each.source_file], each.line)) + never

    def counts(self) -> dict[str, Any]:
        """rows = in pairs + rejected; pairs by why (several votes make one pair), and rejected rows by kind."""
        kinds = Counter(each.kind for each in self.rejected())
        return {
            "rows": self._rows,
            "in pairs": self._rows - kinds.total(),
            "pairs": dict(sorted(self._pairs.items())),
            "rejected": dict(sorted(kinds.items())),
        }

    def _pair(self, problem: Problem, place: _Place, row: _Given, default: str) -> PreferencePair:
        origin = row.origin or f"{self._files[place.file].name}:{place.line}"
        return PreferencePair(
            problem_id=problem.id,
            chosen=row.chosen,
            rejected=row.rejected,
            why=row.why,
            style=row.style or default,
            chosen_origin=origin,
            rejected_origin=origin,
        )

    def _refuse(self, reasons: Iterable[tuple[_Place, Unusable]]) -> None:
        self._refused += [self._rejected(place, reason) for place, reason in reasons]

    def _rejected(self, place: _Place, reason: Unusable) -> Rejected:
        return _rejected(self._files[place.file], place.line, reason)

    def _again(self, place: _Place) -> bytes:
        file = self._files[place.file]
        with _told(file), open(file, "rb") as stream:
            stream.seek(place.offset)
            text = stream.readline()
        if zlib.crc32(text) != place.checksum:
            raise MixprefError(f"{file}, line {place.line}, changed while it was read; run again")
        return text


def read(patterns: Sequence[str], problems: Iterable[tuple[str, str]], style: str) -> Foreign:
    """Check the rows of the files (names or patterns such as votes/*.jsonl) and sort them by problem.

    `problems` are (id, question) of the run's problems to train on; only as much of them is kept as rows ask for.
    `style` is that of pairs to problems without responses. Raises MixprefError where a file is missing or unreadable.
    """
    files = _files(patterns)
    rows = 0
    refused: list[Rejected] = []
    by_id: dict[str, list[_Place]] = {}
    by_question: dict[str, list[_Place]] = {}
    for number, file in enumerate(files):
        for line, offset, text in _lines(file):
            rows += 1
            try:
                row = _parse(text)
                if row.problem_id:
                    places = by_id.setdefault(row.problem_id, [])
                else:
                    places = by_question.setdefault(content_hash(typing.cast(_Given, row).question), [])
            except Unusable as reason:
                refused.append(_rejected(file, line, reason))
            else:
                places.append(_Place(number, line, offset, zlib.crc32(text)))
    waiting, unplaced = _placed(by_id, by_question, problems if rows > len(refused) else ())
    refused += [_rejected(files[place.file], place.line, reason) for place, reason in unplaced]
    return Foreign(files, waiting, refused, rows, style)


def _placed(
    by_id: dict[str, list[_Place]], by_question: dict[str, list[_Place]], problems: Iterable[tuple[str, str]]
) -> tuple[dict[str, list[_Place]], list[tuple[_Place, Unusable]]]:
    """The places of the rows by problem, and those of the rows whose problem is not there or not clear."""
    known: set[str] = set()
    asked: dict[str, list[str]] = {}
    for problem_id, question in problems:
        if problem_id in by_id:
            known.add(problem_id)
        if by_question and (key := content_hash(question)) in by_question:
            asked.setdefault(key, []).append(problem_id)
    waiting = {problem_id: list(places) for problem_id, places in by_id.items() if problem_id in known}
    unplaced: list[tuple[_Place, Unusable]] = []
    for problem_id in by_id.keys() - known:
        reason = Unusable("unknown problem", f"no problem to train on has the id {problem_id}")
        unplaced += [(place, reason) for place in by_id[problem_id]]
    for key, places in by_question.items():
        ids = asked.get(key, [])
        if len(ids) == 1:
            waiting.setdefault(ids[0], []).extend(places)
            continue
        reason = (
            Unusable("ambiguous question", f"{len(ids)} problems ask this question; name one by problem_id")
            if ids
            else Unusable("unknown question", "no problem to train on asks this question, letter by letter")
        )
        unplaced += [(place, reason) for place in places]
    for places in waiting.values():
        places.sort()
    return waiting, unplaced


def _parse(line: bytes) -> Vote | _Given:
    """The vote or pair of a line. Raises Unusable where it is none."""
    try:
        row = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as reason:
        raise Unusable("bad JSON", f"the line is no valid JSON ({reason})") from None
    if not isinstance(row, dict):
        raise Unusable("bad JSON", "the line is no JSON object: one {...} with chosen and rejected is wanted")
    chosen, rejected = _text(row, "chosen"), _text(row, "rejected")
    problem_id, question = _text(row, "problem_id", optional=True), _text(row, "question", optional=True)
    # A vote may name the problem, too.
    start = f"{problem_id}-" if problem_id else ""
    ids = all(_RESPONSE.fullmatch(each) and each.startswith(start) for each in (chosen, rejected))
    if ids and not question:
        return Vote(chosen, rejected, " ".join(_text(row, "by", optional=True).split()))
    if not problem_id and not question:
        raise Unusable("no problem", "it names no problem_id and no question, and its texts are no ids of responses")
    if IMAGE in chosen or IMAGE in rejected:
        raise Unusable("image mark", f"an answer holds {IMAGE}, which no model may write")
    if _bare(chosen) == _bare(rejected):
        raise Unusable("identical texts", "chosen and rejected say the same")
    why, style = _text(row, "why", optional=True) or "foreign", _text(row, "style", optional=True)
    if why not in typing.get_args(Why):
        raise Unusable("unknown why", f"why is {why!r}, which is none of {', '.join(typing.get_args(Why))}")
    if style and style not in STYLES:
        raise Unusable("unknown style", f"style is {style!r}, which is none of {', '.join(STYLES)}")
    origin = " ".join(_text(row, "origin", optional=True).split())
    return _Given(problem_id, question, chosen, rejected, typing.cast(Why, why), style, origin)


def _text(row: dict[str, Any], key: str, *, optional: bool = False) -> str:
    value = row.get(key)
    if value is None and optional:
        return ""
    if value is None:
        raise Unusable("missing key", f"the row has no {key}")
    if not isinstance(value, str):
        raise Unusable("wrong type", f"{key} must be a text")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise Unusable("wrong type", f"{key} holds half a character (a lone surrogate)") from None
    if not value.strip() and not optional:
        raise Unusable("no text", f"{key} is empty")
    return value


def _kept(given: Sequence[tuple[_Place, _Given]]) -> tuple[list[tuple[_Place, _Given]], list[tuple[_Place, Unusable]]]:
    """One of equal pairs, and none of those that other rows state the other way round; and the rest with reasons."""
    stated = {(_bare(row.chosen), _bare(row.rejected)) for _, row in given}
    first: dict[tuple[str, str], _Place] = {}
    kept, refused = [], []
    for place, row in given:
        chosen, rejected = _bare(row.chosen), _bare(row.rejected)
        if (rejected, chosen) in stated:
            refused.append((place, Unusable("contradictory", "another row prefers the rejected text to the chosen")))
        elif (chosen, rejected) in first:
            refused.append((place, Unusable("duplicate", f"the same pair as line {first[chosen, rejected].line}")))
        else:
            first[chosen, rejected] = place
            kept.append((place, row))
    return kept, refused


def _files(patterns: Sequence[str]) -> list[Path]:
    files: dict[Path, None] = {}
    for pattern in patterns:
        path = Path(pattern).expanduser()
        # A file's own name may hold brackets.
        found = [path] if path.is_file() else sorted(map(Path, glob.glob(str(path), recursive=True)))
        found = [each for each in found if each.is_file()]
        if not found:
            what = "is a folder" if path.is_dir() else "does not exist"
            raise MixprefError(f"pairing.added: {pattern} {what}; name a JSON-lines file or a pattern such as *.jsonl")
        files |= dict.fromkeys(found)
    return list(files)


def _lines(file: Path) -> Iterator[tuple[int, int, bytes]]:
    """(number from 1, bytes before it, text) of every line that is not blank."""
    offset = 0
    with _told(file), open(file, "rb") as stream:
        for line, text in enumerate(stream, start=1):
            bare = text.removeprefix(_BOM) if line == 1 else text
            if bare.strip():
                yield line, offset + len(text) - len(bare), bare
            offset += len(text)


@contextmanager
def _told(file: Path) -> Iterator[None]:
    """Turns an error of the file system into one that says what to do."""
    try:
        yield
    except OSError as reason:
        raise MixprefError(f"{file} cannot be read ({reason.strerror}); see that it is there and readable") from None


def _rejected(file: Path, line: int, reason: Unusable) -> Rejected:
    return Rejected(source_file=str(file), line=line, kind=reason.kind, reason=reason.reason)


def _bare(text: str) -> str:
    return " ".join(text.split())
