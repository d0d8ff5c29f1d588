"""LLaMA-Factory's form: as many marks as images, paths from the folder."""

from __future__ import annotations

import json
from pathlib import Path

from exporting.conftest import PAIRS, PROBLEMS, MakeRun
from mixpref import prompts
from mixpref.exporting.stage import export


def test_rows(make_run: MakeRun, tmp_path: Path) -> None:
    export(make_run(), "llamafactory", tmp_path / "to")
    info = json.loads((tmp_path / "to" / "dataset_info.json").read_text())
    assert info == {
        "shapes": {
            "file_name": "train.jsonl",
            "ranking": True,
            "formatting": "sharegpt",
            "columns": {
                "messages": "conversations",
                "chosen": "chosen",
                "rejected": "rejected",
                "images": "images",
            },
        }
    }
    rows = [json.loads(line) for line in (tmp_path / "to" / "train.jsonl").read_text().splitlines()]
    assert len(rows) == len(PAIRS)
    problems = {problem.id: problem for problem in PROBLEMS}
    for row, pair in zip(rows, PAIRS, strict=True):
        problem = problems[pair.problem_id]
        [turn] = row["conversations"]
        assert turn["from"] == "human"
        assert turn["value"].count("<image>") == len(row["images"]) == len(problem.images)
        assert turn["value"].endswith(prompts.ask(problem, pair.style))
        assert (row["chosen"], row["rejected"]) == (
            {"from": "gpt", "value": pair.chosen},
            {"from": "gpt", "value": pair.rejected},
        )
        assert tuple((tmp_path / "to" / name).read_bytes() for name in row["images"]) == problem.images
