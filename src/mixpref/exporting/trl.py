"""The form of TRL's preference data: train.jsonl beside images/.

Rows have `prompt`, `chosen`, `rejected` as conversations and `images` as paths from the folder. TRL 1.16 wants them as
pictures:

    rows = datasets.load_dataset("json", data_files=f"{folder}/train.jsonl", split="train")
    rows = rows.map(lambda row: {"images": [f"{folder}/{name}" for name in row["images"]]})
    rows = rows.cast_column("images", datasets.List(datasets.Image()))
"""

from __future__ import annotations

from pathlib import Path

from mixpref.exporting.items import ImageFolder, Item, line


class Writer:
    """Writes TRL's JSON lines."""

    def __init__(self, folder: Path, name: str) -> None:
        self._images = ImageFolder(folder / "images")
        self._file = open(folder / "train.jsonl", "w", encoding="utf-8", newline="\n")  # noqa: SIM115 - closed below

    def write(self, item: Item) -> None:
        images = self._images.add(item.problem.images)
        row = {
            "prompt": item.prompt,
            "chosen": [{"role": "assistant", "content": item.pair.chosen}],
            "rejected": [{"role": "assistant", "content": item.pair.rejected}],
            "images": [f"images/{name}" for name in images],
            "answer": list(item.problem.answer or ()),
            **item.about,
        }
        self._file.write(line(row))

    def finish(self) -> None:
        self._file.close()
