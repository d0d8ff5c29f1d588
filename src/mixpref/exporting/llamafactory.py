"""The form of LLaMA-Factory's preference data: ShareGPT rows in train.jsonl, dataset_info.json, and images/.

The folder is its `dataset_dir`, the run's name its `dataset`. Every image has an `<image>` mark in the text.
"""

from __future__ import annotations

from pathlib import Path

from mixpref.exporting.items import ImageFolder, Item, line
from mixpref.store import write_json

FILE = "train.jsonl"


class Writer:
    """Writes LLaMA-Factory's JSON lines."""

    def __init__(self, folder: Path, name: str) -> None:
        self._images = ImageFolder(folder / "images")
        self._file = open(folder / FILE, "w", encoding="utf-8", newline="\n")  # noqa: SIM115 - closed below
        columns = {"messages": "conversations", "chosen": "chosen", "rejected": "rejected", "images": "images"}
        entry = {"file_name": FILE, "ranking": True, "formatting": "sharegpt", "columns": columns}
        write_json(folder / "dataset_info.json", {name: entry})

    def write(self, item: Item) -> None:
        images = self._images.add(item.problem.images)
        row = {
            "conversations": [{"from": "human", "value": item.text}],
            "chosen": {"from": "gpt", "value": item.pair.chosen},
            "rejected": {"from": "gpt", "value": item.pair.rejected},
            "images": [f"images/{name}" for name in images],
            **item.about,
        }
        self._file.write(line(row))

    def finish(self) -> None:
        self._file.close()
