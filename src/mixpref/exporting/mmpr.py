"""The form of MMPR (arXiv 2411.10442), as `sources/mmpr.py` reads it and InternVL trains on it.

meta.json                 the data sets, one a kind of pair
annotations/NAME.jsonl    image, question (the whole prompt), chosen, rejected, answer_gt, and keys that readers ignore
images/
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import IO, Any

from mixpref.exporting.items import ImageFolder, Item, line
from mixpref.records import PreferencePair
from mixpref.store import write_json

_SUFFIXES = {
    "correctness": "_pairs_vqa_correctness_rules",
    "format": "_pairs_vqa_format_rules",
    "vote": "_pairs_vote",
    "foreign": "_pairs",
}


class Writer:
    """Writes MMPR."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._images = ImageFolder(folder / "images")
        self._files: dict[str, IO[str]] = {}
        self._lengths: Counter[str] = Counter()
        (folder / "annotations").mkdir()

    def write(self, item: Item) -> None:
        name = self._name + _suffix(item.pair)
        if name not in self._files:
            file = self._folder / "annotations" / f"{name}.jsonl"
            self._files[name] = open(file, "w", encoding="utf-8", newline="\n")  # noqa: SIM115 - `finish` closes it
        row = _row(item, self._images.add(item.problem.images))
        self._files[name].write(line(row))
        self._lengths[name] += 1

    def finish(self) -> None:
        for file in self._files.values():
            file.close()
        meta = {
            name: {
                "root": "images",
                "annotation": f"annotations/{name}.jsonl",
                "data_augment": False,
                "repeat_time": 1,
                "length": self._lengths[name],
            }
            for name in sorted(self._files)
        }
        write_json(self._folder / "meta.json", meta)


def _row(item: Item, images: list[str]) -> dict[str, Any]:
    row: dict[str, Any] = {"image": images[0] if len(images) == 1 else images} if images else {}
    row |= {"question": item.text, "chosen": item.pair.chosen, "rejected": item.pair.rejected}
    if item.problem.answer is not None:
        answer = item.problem.answer
        row["answer_gt"] = answer[0] if len(answer) == 1 else list(answer)
    return row | item.about


def _suffix(pair: PreferencePair) -> str:
    if pair.why != "dropout-ntp":
        return _SUFFIXES[pair.why]
    # The share of the chosen response that was kept, as the origin tells it.
    ratio = re.search(r"\bsr(\d+(?:\.\d+)?)", pair.rejected_origin)
    return f"_prefix_pair_sr{float(ratio[1]) if ratio else 0.5}_wo_image"
