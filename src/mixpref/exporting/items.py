"""What is exported: a pair with its problem, and the images as files."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mixpref import prompts
from mixpref.errors import MixprefError
from mixpref.prompts import IMAGE
from mixpref.records import PreferencePair, Problem, content_hash

if TYPE_CHECKING:
    from mixpref.rundir import Run

# Some readers take these for places of images, wherever they stand.
_PLACES = (IMAGE, "<video>", "<audio>")
# A line break to Python and others, within JSON lines.
_BREAKS = {character: f"\\u{ord(character):04x}" for character in "\u2028\u2029\x85"}
_KINDS = {
    b"\x89PNG\r\n\x1a\n": "png",
    b"\xff\xd8\xff": "jpg",
    b"GIF8": "gif",
    b"BM": "bmp",
    b"II*\0": "tif",
    b"MM\0*": "tif",
}


@dataclass(frozen=True, kw_only=True)
class Item:
    """A pair that can be exported."""

    pair: PreferencePair
    problem: Problem

    @property
    def text(self) -> str:
        """The user's turn, with a mark for every image."""
        text = prompts.ask(self.problem, self.pair.style)
        return f"{IMAGE}\n" * (len(self.problem.images) - text.count(IMAGE)) + text

    @property
    def prompt(self) -> list[dict[str, Any]]:
        """The user's turn as image and text parts."""
        return prompts.messages(self.problem, self.pair.style)

    @property
    def about(self) -> dict[str, Any]:
        """What no reader needs: where the pair comes from, and which of its texts were cut."""
        pair = self.pair
        return {
            "problem_id": pair.problem_id,
            "style": pair.style,
            "why": pair.why,
            "chosen_complete": pair.chosen_complete,
            "rejected_complete": pair.rejected_complete,
            "chosen_origin": pair.chosen_origin,
            "rejected_origin": pair.rejected_origin,
        }


class Writer(Protocol):
    """Writes items into a folder, one after the other. Made by `Writer(folder, name)`, name being the run's."""

    def write(self, item: Item) -> None:
        """Take one item."""

    def finish(self) -> None:
        """Write what remains and close all files. Called once, also where writing has failed."""


def items(run: Run, left_out: Counter[str]) -> Iterator[Item]:
    """The run's pairs with their problems, in the pairs' order; those that no format can hold are counted by reason.

    In memory are the problems' ids and one shard of them. Raises MixprefError where a pair's problem is missing.
    """
    problems = run.problems("train")
    numbers = {problem_id: number for number, (problem_id,) in enumerate(problems.columns("id"))}
    problem: Problem | None = None
    for pair in run.pairs:
        if pair.problem_id not in numbers:
            raise MixprefError(
                f"{run.pairs.path} has a pair of the problem {pair.problem_id}, which is not in {problems.path}; "
                "delete pairs/ and run `mixpref pair` again"
            )
        if problem is None or problem.id != pair.problem_id:
            [problem] = problems.at([numbers[pair.problem_id]])
        item = Item(pair=pair, problem=problem)
        if reason := _refusal(item):
            left_out[reason] += 1
        else:
            yield item


def _refusal(item: Item) -> str:
    """Why an item cannot be exported, in some words to count by; empty where it can."""
    pair, problem = item.pair, item.problem
    if any(place in text for text in (pair.chosen, pair.rejected) for place in _PLACES):
        return "responses hold an image mark"
    text = prompts.ask(problem, pair.style)
    if text.count(IMAGE) > len(problem.images) or any(place in text for place in _PLACES[1:]):
        return "more marks than images"
    if any(not _kind(image) for image in problem.images):
        return "image of an unknown format"
    return ""


class ImageFolder:
    """Image files named after their content, each written once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: set[str] = set()
        folder.mkdir(parents=True)

    def add(self, images: tuple[bytes, ...]) -> list[str]:
        """The names of the images' files in the folder."""
        return [self._add(image) for image in images]

    def _add(self, image: bytes) -> str:
        name = f"{content_hash(image)}.{_kind(image)}"
        if name not in self._written:
            (self._folder / name).write_bytes(image)
            self._written.add(name)
        return name


def line(row: Any) -> str:
    """One line of JSON, which is one line to every reader."""
    text = json.dumps(row, ensure_ascii=False)
    for character, escaped in _BREAKS.items():
        text = text.replace(character, escaped)
    return text + "\n"


def _kind(image: bytes) -> str:
    """The extension of an image's file, by its first bytes; empty where they are not known."""
    if image[:4] == b"RIFF" and image[8:12] == b"WEBP":
        return "webp"
    return next((kind for start, kind in _KINDS.items() if image.startswith(start)), "")
