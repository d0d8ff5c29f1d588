"""What `mixpref view` shows of a run: its page and the indexes of its cases, made anew whenever the run has changed.

Only reads: a run that another process is working on can be looked at all the while.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from mixpref.reporting.cases import Case
from mixpref.reporting.gather import gather
from mixpref.reporting.index import Indexed, Query
from mixpref.reporting.index_items import index_items
from mixpref.reporting.index_pairs import TRAIN, index_pairs
from mixpref.reporting.page import render
from mixpref.reporting.served_pictures import drawable

if TYPE_CHECKING:
    from mixpref.rundir import Run

LISTS = ("pairs", "items")
Made = TypeVar("Made")


class LiveRun:
    """A run as it is now. Several threads may ask at once; what is being made anew, they wait for."""

    def __init__(self, run: Run) -> None:
        # The page asks for its cases: none need be drawn for it.
        self._page = _Kept(
            lambda: _texts_and_folders(run.path), lambda: render(gather(run, pairs=0, items=0), served=True)
        )
        self._lists = {
            "pairs": _Kept(lambda: _changed(_pairs_folders(run.path)), lambda: index_pairs(run)),
            "items": _Kept(lambda: _changed(_items_folders(run.path)), lambda: index_items(run)),
        }

    def page(self) -> str:
        """The page as HTML. Raises MixprefError where an artifact of the run cannot be read, as the others do."""
        return self._page.get()

    def facets(self) -> dict[str, Any]:
        """By the list's name what its cases can be filtered by: {facet: {value: count}}, and their `total`."""
        return {name: self._index(name).listing.facets() for name in LISTS}

    def find(self, name: str, query: Query) -> tuple[int, list[Case]]:
        """Of a list the number of cases asked for, and a page of them."""
        return self._index(name).listing.find(query)

    def picture(self, split: str, problem_id: str, number: int) -> tuple[str, bytes] | None:
        """(content type, bytes) of a problem's picture; None where there is none, or none that can be decoded."""
        questions = self._index("pairs" if split == TRAIN else "items").questions.get(split)
        place = questions.number(problem_id) if questions else None
        if questions is None or place is None:
            return None
        images = questions.problems.at([place])[place].images
        return drawable(images[number]) if number < len(images) else None

    def _index(self, name: str) -> Indexed:
        return self._lists[name].get()


class _Kept(Generic[Made]):
    """Something that is made anew only if what it was made from has changed."""

    def __init__(self, state: Callable[[], Hashable], make: Callable[[], Made]) -> None:
        self._state = state
        self._make = make
        self._lock = threading.Lock()
        self._kept: tuple[Hashable, Made] | None = None

    def get(self) -> Made:
        with self._lock:
            # Before making: what changes meanwhile is seen the next time.
            state = self._state()
            if self._kept is None or self._kept[0] != state:
                self._kept = state, self._make()
            return self._kept[1]


def _pairs_folders(run: Path) -> Iterable[Path]:
    return (run / name for name in ("problems/train", "responses", "verdicts", "pairs"))


def _items_folders(run: Path) -> Iterable[Path]:
    yield run / "problems" / "held_out"
    for pattern in ("benchmarks/*/*", "scores/items/*/*"):
        yield from sorted(run.glob(pattern))


def _changed(paths: Iterable[Path]) -> tuple[tuple[str, int, int], ...]:
    """When files came into folders or went, for shards are never written in place, and when files were written."""
    found = []
    for path in paths:
        # What is not there, or goes just now: a stage at work removes old checkpoints, say.
        with suppress(FileNotFoundError):
            about = path.stat()
            found.append((str(path), about.st_mtime_ns, about.st_size))
    return tuple(found)


def _texts_and_folders(root: Path) -> Hashable:
    """The state of what the page is made from: folders of shards, and the files of settings, scores and logs."""
    found: list[Path] = []
    for folder, _, files in os.walk(root):
        here = Path(folder)
        # The root changes with the report and the lock, which the page does not show.
        found += [here] if here != root else []
        found += (here / file for file in files if file.endswith((".json", ".jsonl", ".yaml")))
    return _changed(found)
