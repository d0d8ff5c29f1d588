"""What an MMPR meta.json lists, where the lines of its files begin, and which of them are taken how often."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mixpref.errors import MixprefError
from mixpref.records import Why
from mixpref.seeds import derive

CHUNK = 2**24
"""Bytes of a file that are looked at together."""
_BLANK = 64
# More is a slip of the pen, and would fill the memory.
_MOST_REPEATS = 10_000

# By the ends of the released files' names. `direct` are short answers without a chain of thought, judged as well.
_KINDS: dict[str, Why] = {
    r"_pairs_vqa_(correctness|direct)_rules$": "correctness",
    r"_pairs_vqa_format_rules$": "format",
    r"_sr\d+(\.\d+)?_(with|wo)_image$": "dropout-ntp",
}


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """One entry of meta.json."""

    name: str
    annotation: Path
    root: Path
    """Image paths of its rows start here, and never leave it."""
    repeat_time: float = 1.0
    """How often each row is taken; 0.5: half of the rows, 1.5: all of them, and half of them again."""
    length: int | None = None
    """Rows, as meta.json tells; the file counts."""
    data_augment: bool = False
    max_dynamic_patch: int | None = None
    """Tiles of an image, where the data set asks for a number of its own."""

    @cached_property
    def why(self) -> Why:
        """What makes the chosen response the better one."""
        names = (self.name, self.annotation.name.removesuffix(".jsonl"))
        found = (why for kind, why in _KINDS.items() for name in names if re.search(kind, name))
        return next(found, "foreign")


def read_meta(meta: Path) -> dict[str, DataSet]:
    """The data sets of a meta.json, by name. Paths in it start from its folder, or from the one above as released.

    Raises MixprefError where it cannot be read, where an entry is not as it must be, or an annotation file is missing.
    """
    try:
        entries = json.loads(meta.read_text(encoding="utf-8-sig"))
    except OSError as reason:
        raise MixprefError(
            f"{meta} cannot be read ({reason.strerror}); name the meta.json of an MMPR data set"
        ) from None
    except (ValueError, RecursionError) as reason:
        raise MixprefError(f"{meta} is no valid JSON ({reason}); name the meta.json of an MMPR data set") from None
    if not isinstance(entries, dict) or not entries:
        raise MixprefError(f'{meta} lists no data sets; wanted is {{"name": {{"root": .., "annotation": ..}}}}')
    return {name: _data_set(meta, name, entry) for name, entry in entries.items()}


def _data_set(meta: Path, name: str, entry: Any) -> DataSet:
    def wrong(key: str, value: Any, wanted: str) -> MixprefError:
        return MixprefError(f"{meta}: {key} of {name!r} is {value!r}; it must be {wanted}")

    if not isinstance(entry, dict):
        raise wrong("the entry", entry, "an object with root and annotation")
    if not entry.get("annotation"):
        raise wrong("annotation", entry.get("annotation"), "the path of a JSON-lines file")
    for key in ("annotation", "root"):
        value = entry.get(key, "")
        if not isinstance(value, str) or "\0" in value:
            raise wrong(key, value, "a path")
    times = entry.get("repeat_time", 1)
    number = isinstance(times, int | float) and not isinstance(times, bool) and math.isfinite(times)
    if not number or not 0 <= times <= _MOST_REPEATS:
        raise wrong("repeat_time", times, f"a number from 0 to {_MOST_REPEATS:,}")
    for key in ("length", "max_dynamic_patch"):
        value = entry.get(key)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
            raise wrong(key, value, "a whole number")
    if not isinstance(entry.get("data_augment", False), bool):
        raise wrong("data_augment", entry["data_augment"], "true or false")
    annotation = _path(meta, entry["annotation"])
    if not annotation.is_file():
        raise MixprefError(
            f"{meta}: the annotation file {annotation} of {name!r} is not there; fetch it, or take {name!r} out"
        )
    return DataSet(
        name=name,
        annotation=annotation,
        root=_path(meta, entry.get("root", "")),
        repeat_time=float(times),
        length=entry.get("length"),
        data_augment=entry.get("data_augment", False),
        max_dynamic_patch=entry.get("max_dynamic_patch"),
    )


def _path(meta: Path, name: str) -> Path:
    folder = meta.absolute().parent
    path = Path(name).expanduser()
    # MMPR-v1.2/meta.json names MMPR-v1.2/annotations/...
    above = folder.parent / path
    return above if above.exists() and not (folder / path).exists() else folder / path


def line_starts(file: Path, advance: Callable[[], None]) -> np.ndarray:
    """int64 (lines + 1,): the bytes before each line of a file, and all its bytes. `advance` is called a chunk."""
    starts, position = [np.zeros(1, np.int64)], 0
    with open(file, "rb") as stream:
        while chunk := stream.read(CHUNK):
            starts.append(np.flatnonzero(np.frombuffer(chunk, np.uint8) == ord("\n")) + (position + 1))
            position += len(chunk)
            advance()
    found = np.concatenate(starts)
    # The last line may end without a line break.
    return found if found[-1] == position else np.append(found, position)


def not_blank(file: Path, starts: np.ndarray) -> np.ndarray:
    """int64 (rows,): the numbers, from 0, of the lines that hold more than white space. Long ones are taken to."""
    lengths = np.diff(starts)
    blank = np.zeros(len(lengths), bool)
    with open(file, "rb") as stream:
        for line in np.flatnonzero(lengths <= _BLANK):
            stream.seek(starts[line])
            blank[line] = not stream.read(lengths[line]).strip()
    return np.flatnonzero(~blank)


def taken(rows: int, times: float, seed: int, name: str) -> np.ndarray:
    """int64: the numbers of the rows that are taken, `times` each on average, in order, repetition after repetition.

    What is left of `times` after whole repetitions are the rows of lowest hash of (seed, name, row): whatever is taken
    for a fraction is taken for a larger one, too.
    """
    whole, part = divmod(times, 1)
    every = np.arange(rows)
    some = np.sort(np.argsort(_hashes(rows, derive("mmpr", seed, name)), kind="stable")[: round(part * rows)])
    return np.concatenate([*[every] * int(whole), some])


def _hashes(count: int, key: int) -> np.ndarray:
    """uint64 (count,): a hash of each row's number: SplitMix64 (Steele, Lea and Flood, 2014) from the state `key`."""
    mixed = np.uint64(key) + np.arange(count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))
