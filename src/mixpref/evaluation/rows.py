"""The rows of a benchmark's files, whatever their form, with a name for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mixpref.evaluation import fields, folder


def keyed(paths: Sequence[Path], columns: Sequence[str] = ()) -> Iterator[tuple[str, dict[str, Any]]]:
    """(key, row) of parquet files or of one JSON file. In parquet files and lists a key is the row's place from 0.

    columns: of parquet files only these; none: all. Raises MixprefError for a file that cannot be read.
    """
    if paths[0].suffix == ".parquet":
        for place, cells in enumerate(folder.parquet(paths, columns)):
            yield str(place), cells
    else:
        yield from folder.json_rows(paths[0])


def image(root: Path, cells: dict[str, Any], key: str) -> bytes:
    """A row's image: in the hub's `decoded_image`, else the file in `root` that `image` names. Raises Unusable."""
    if "decoded_image" in cells:
        return folder.embedded(cells["decoded_image"], key)
    return folder.image(root, fields.text(cells, "image"))
