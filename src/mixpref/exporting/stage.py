"""Exports a run's preference pairs: mmpr, trl, parquet or llamafactory."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from mixpref.errors import MixprefError
from mixpref.exporting.items import Writer, items
from mixpref.progress import progress, say
from mixpref.store import disk_full_is_told, versions, write_json

if TYPE_CHECKING:
    from mixpref.rundir import Run

FORMATS = {
    "mmpr": "mixpref.exporting.mmpr",
    "trl": "mixpref.exporting.trl",
    "parquet": "mixpref.exporting.parquet",
    "llamafactory": "mixpref.exporting.llamafactory",
}
"""Modules by the format's name."""

MANIFEST = "manifest.json"
"""Written last, in every export: its format and its counts."""


def export(run: Run, format: str, to: Path, *, overwrite: bool = False) -> None:
    """Write the run's pairs and their images into a new folder, as a whole or not at all.

    The manifest's counts say of every pair whether it was written: all = written + left out.

    format: one of FORMATS. overwrite: replace an earlier export; nothing else is ever replaced.
    Raises MixprefError where the pairs are not complete, the folder may not be written, or no pair can be exported.
    """
    if format not in FORMATS:
        raise MixprefError(f"there is no format {format!r}; the formats are {', '.join(FORMATS)}")
    if not run.pairs.finished:
        raise MixprefError(f"{run.pairs.path} is not complete; run `mixpref pair` first")
    # A link is followed: its target is replaced, not the link.
    to = Path(to).expanduser().resolve()
    _refuse_target(to, overwrite)
    unfinished, old = (to.with_name(f".{to.name}.{what}") for what in ("unfinished", "old"))
    with disk_full_is_told(to):
        to.parent.mkdir(parents=True, exist_ok=True)
        # What a killed export has left.
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
        try:
            unfinished.mkdir()
            text = _write(run, format, unfinished)
            if to.exists() and any(to.iterdir()):
                os.replace(to, old)
            os.replace(unfinished, to)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        shutil.rmtree(old, ignore_errors=True)
    say(f"export: {text} in {to}")


def _write(run: Run, format: str, folder: Path) -> str:
    """Fill the folder; returns what was written, for people. Raises MixprefError where that is nothing."""
    make: Callable[[Path, str], Writer] = import_module(FORMATS[format]).Writer
    left_out: Counter[str] = Counter()
    written: Counter[str] = Counter()
    cut = 0
    total = len(run.pairs)
    writer = make(folder, run.recipe.name)
    try:
        with progress("export", total) as advance:
            for item in items(run, left_out):
                writer.write(item)
                written[item.pair.why] += 1
                cut += not (item.pair.chosen_complete and item.pair.rejected_complete)
                advance()
    finally:
        writer.finish()
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(left_out.items()))
    if not written.total():
        raise MixprefError(f"{run.pairs.path} has no pair that can be exported ({reasons or 'it is empty'})")
    assert written.total() + left_out.total() == total, "every pair is written or left out"
    counts = {
        "pairs": {"all": total, "written": written.total(), **dict(sorted(left_out.items()))},
        "kinds": dict(sorted(written.items())),
        "with a response cut at the token limit": cut,
    }
    write_json(folder / MANIFEST, {"export": format, "run": run.recipe.name, "counts": counts, "versions": versions()})
    return f"{written.total():,} pairs as {format}" + (
        f", {left_out.total():,} left out ({reasons})," if reasons else ""
    )


def _refuse_target(to: Path, overwrite: bool) -> None:
    if not to.exists():
        return
    if not to.is_dir():
        raise MixprefError(f"{to} is a file; name a folder to export to")
    if not any(to.iterdir()):
        return
    try:
        earlier = "export" in json.loads((to / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        earlier = False
    if not earlier:
        raise MixprefError(f"{to} is not empty and holds no export; name another folder")
    if not overwrite:
        raise MixprefError(f"{to} holds an export; name another folder, or give --overwrite to replace it")
