"""Reading a benchmark's local folder: parquet as the Hugging Face hub gives it, JSON and images as projects publish.

What is missing raises MixprefError, and whoever loads the benchmark adds the command that gets it; a single image that
cannot be used raises Unusable, which makes its row an error.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mixpref.errors import MixprefError
from mixpref.evaluation import fields
from mixpref.sources import images
from mixpref.sources.unusable import Unusable


def files(folder: Path, *patterns: str) -> list[Path]:
    """The files that match the first of the patterns ("data/test-*.parquet") to match any, in the order of their names.

    Raises MixprefError where none matches.
    """
    for pattern in patterns:
        if found := sorted(folder.glob(pattern)):
            return found
    where = f"{folder} holds no" if folder.is_dir() else f"there is no folder {folder} with a"
    raise MixprefError(f"{where} {' or '.join(patterns)}")


def parquet(paths: Sequence[Path], columns: Sequence[str] = (), batch: int = 64) -> Iterator[dict[str, Any]]:
    """The rows of parquet files, `batch` at a time in memory. columns: only these, those that are not there left out.

    Raises MixprefError for a file that is no parquet: one that Git LFS or a broken download left.
    """
    from pyarrow import ArrowInvalid
    from pyarrow import parquet as files_of

    for path in paths:
        try:
            with files_of.ParquetFile(path) as file:
                there = [name for name in columns if name in file.schema_arrow.names]
                for table in file.iter_batches(batch_size=batch, columns=there or None):
                    yield from table.to_pylist()
        except (ArrowInvalid, OSError) as reason:
            raise MixprefError(f"{path} cannot be read ({' '.join(str(reason).split())})") from None


def json_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(key, row) of a JSON file: a list (keys are places from 0), an object of objects, or JSON lines.

    Raises MixprefError for a file that is none of these.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as reason:
        raise MixprefError(f"{path} cannot be read ({reason})") from None
    try:
        content = json.loads(text)
        rows = content.items() if isinstance(content, dict) and _of_objects(content) else enumerate(_listed(content))
    except ValueError:
        rows = enumerate(_lines(path, text))
    for key, row in rows:
        if not isinstance(row, dict):
            raise MixprefError(f"{path}: row {key} is no JSON object")
        yield str(key), row


def keyed(paths: Sequence[Path], columns: Sequence[str] = ()) -> Iterator[tuple[str, dict[str, Any]]]:
    """(key, row) of parquet files or of one JSON file. In parquet files and lists a key is the row's place from 0.

    columns: of parquet files only these; none: all. Raises MixprefError for a file that cannot be read.
    """
    if paths[0].suffix == ".parquet":
        for place, cells in enumerate(parquet(paths, columns)):
            yield str(place), cells
    else:
        yield from json_rows(paths[0])


def image(folder: Path, name: str) -> bytes:
    """The bytes of an image file that a row names, decoded once to be sure of it. Raises Unusable."""
    return images.read(folder, name)


def embedded(cell: Any, name: str) -> bytes:
    """The image in a cell of a parquet file of the hub, {"bytes": .., "path": ..}, decoded once. Raises Unusable.

    name: of the row, for messages.
    """
    data = cell.get("bytes") if isinstance(cell, Mapping) else cell
    if not isinstance(data, bytes) or not data:
        raise Unusable("missing image", f"row {name} holds no image")
    images.decode(data, f"of row {name}")
    return data


def row_image(folder: Path, cells: Mapping[str, Any], name: str) -> bytes:
    """A row's image: in the hub's `decoded_image`, else the file that `image` names. Raises Unusable."""
    if "decoded_image" in cells:
        return embedded(cells["decoded_image"], name)
    return image(folder, fields.text(cells, "image"))


def _of_objects(content: dict[str, Any]) -> bool:
    return bool(content) and all(isinstance(each, dict) for each in content.values())


def _listed(content: Any) -> list[Any]:
    # A single object is a file of one line.
    return content if isinstance(content, list) else [content]


def _lines(path: Path, text: str) -> Iterator[Any]:
    # Not splitlines: a JSON text may hold what Python takes for the end of a line, U+2028 for one.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield json.loads(line)
            except ValueError:
                raise MixprefError(f"{path}: line {number} is no JSON") from None
