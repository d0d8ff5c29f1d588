"""Answers whose unit is not complete yet, kept as they come in: a killed run asks a server nothing twice.

JSON lines, flushed one by one. A line that a kill has torn is dropped with all that follows it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from mixpref.records import Response
from mixpref.store import disk_full_is_told, write_text

# Lines of units that are complete by now are swept out whenever the file has grown by so much.
_SWEEP = 32 * 2**20

Answers = dict[int, tuple[Response, ...]]
"""A unit's answers so far, by the request's place in it."""


class Journal:
    """The answers of open units. A context: the file is open within."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[str] | None = None
        self._limit = _SWEEP

    def read(self, done: Iterable[str] = ()) -> dict[str, Answers]:
        """What is there of each unit but those that are done."""
        done = set(done)
        found: dict[str, Answers] = {}
        try:
            lines = self.path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return found
        # Behind the last newline there is nothing, or what was torn.
        for line in lines[:-1]:
            try:
                key, place, responses = json.loads(line)
                answers = tuple(Response(**each) for each in responses)
            except (ValueError, TypeError):
                break
            if key not in done:
                found.setdefault(key, {})[place] = answers
        return found

    def begin(self, units: dict[str, Answers]) -> None:
        """Start the file anew with these units alone."""
        self.close()
        write_text(self.path, "".join(_line(key, place, each) for key in units for place, each in units[key].items()))
        self._file = open(self.path, "a", encoding="utf-8", newline="\n")  # noqa: SIM115 - open as long as the journal
        self._limit = self._file.tell() + _SWEEP

    def add(self, key: str, place: int, responses: tuple[Response, ...], units: dict[str, Answers]) -> None:
        """Note the answer; `units` are those still open, this answer included."""
        assert self._file is not None, "a journal begins before it is added to"
        with disk_full_is_told(self.path):
            self._file.write(_line(key, place, responses))
            self._file.flush()
        if self._file.tell() > self._limit:
            self.begin(units)

    def remove(self) -> None:
        """Nothing is open any more."""
        self.close()
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _line(key: str, place: int, responses: tuple[Response, ...]) -> str:
    entry: list[Any] = [key, place, [asdict(each) for each in responses]]
    return json.dumps(entry) + "\n"
