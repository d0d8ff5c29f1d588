"""Parquet with the images in it, for `datasets.load_dataset(FOLDER)`: train-00000.parquet, train-00001.parquet ..."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

from mixpref.exporting.items import Item

SHARD = 500 * 2**20
"""Bytes of a file, beyond which the next one is begun."""
GROUP = 32 * 2**20
"""Bytes of rows that are in memory and are written together."""
_GROUP_ROWS = 1000

_TEXT, _FLAG = pyarrow.string(), pyarrow.bool_()
_PART = pyarrow.struct([("type", _TEXT), ("text", _TEXT)])
_TURNS = pyarrow.list_(pyarrow.struct([("role", _TEXT), ("content", _TEXT)]))
_IMAGES = pyarrow.list_(pyarrow.struct([("bytes", pyarrow.binary()), ("path", _TEXT)]))
_COLUMNS = {
    "question": _TEXT,
    "prompt": pyarrow.list_(pyarrow.struct([("role", _TEXT), ("content", pyarrow.list_(_PART))])),
    "chosen": _TURNS,
    "rejected": _TURNS,
    "images": _IMAGES,
    "answer": pyarrow.list_(_TEXT),
    "family": _TEXT,
    "problem_id": _TEXT,
    "style": _TEXT,
    "why": _TEXT,
    "chosen_complete": _FLAG,
    "rejected_complete": _FLAG,
    "chosen_origin": _TEXT,
    "rejected_origin": _TEXT,
}


class Writer:
    """Writes parquet, a group of rows at a time."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        features = {name: _feature(kind) for name, kind in _COLUMNS.items()}
        # What `datasets` takes the types from: without it, images are structs of bytes.
        metadata = {"huggingface": json.dumps({"info": {"features": features}})}
        self._schema = pyarrow.schema(list(_COLUMNS.items()), metadata=metadata)
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0
        self._file: parquet.ParquetWriter | None = None
        self._path = folder
        self._files = 0

    def write(self, item: Item) -> None:
        self._rows.append(
            {
                "question": item.problem.question,
                "prompt": item.prompt,
                "chosen": [{"role": "assistant", "content": item.pair.chosen}],
                "rejected": [{"role": "assistant", "content": item.pair.rejected}],
                "images": [{"bytes": image, "path": None} for image in item.problem.images],
                "answer": item.problem.answer,
                "family": item.problem.family,
                **item.about,
            }
        )
        self._bytes += sum(map(len, (*item.problem.images, item.pair.chosen, item.pair.rejected, item.text)))
        if self._bytes >= GROUP or len(self._rows) >= _GROUP_ROWS:
            self._flush()

    def finish(self) -> None:
        self._flush()
        if self._file is not None:
            self._file.close()

    def _flush(self) -> None:
        if not self._rows:
            return
        if self._file is None:
            self._path = self._folder / f"train-{self._files:05d}.parquet"
            self._file = parquet.ParquetWriter(self._path, self._schema, compression="zstd")
            self._files += 1
        self._file.write_table(pyarrow.Table.from_pylist(self._rows, schema=self._schema))
        self._rows, self._bytes = [], 0
        if self._path.stat().st_size >= SHARD:
            self._file.close()
            self._file = None


def _feature(kind: pyarrow.DataType) -> dict[str, Any]:
    """A column's type as `datasets` writes it."""
    if kind == _IMAGES.value_type:
        return {"_type": "Image"}
    if pyarrow.types.is_list(kind):
        return {"_type": "List", "feature": _feature(kind.value_type)}
    if pyarrow.types.is_struct(kind):
        return {field.name: _feature(field.type) for field in kind}
    return {"_type": "Value", "dtype": str(kind)}
