"""TRL's form: its trainer prepares the rows, and mixpref's own reads them, too."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from exporting.conftest import PAIRS, PROBLEMS, MakeRun
from mixpref import prompts
from mixpref.exporting.stage import export


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "train.jsonl").read_text(encoding="utf-8").splitlines()]


def test_rows(make_run: MakeRun, tmp_path: Path) -> None:
    export(make_run(), "trl", tmp_path / "to")
    problems = {problem.id: problem for problem in PROBLEMS}
    for row, made in zip(rows_of(tmp_path / "to"), PAIRS, strict=True):
        problem = problems[made.problem_id]
        assert row["prompt"] == prompts.messages(problem, made.style)
        assert row["chosen"] == [{"role": "assistant", "content": made.chosen}]
        assert row["rejected"] == [{"role": "assistant", "content": made.rejected}]
        assert tuple((tmp_path / "to" / name).read_bytes() for name in row["images"]) == problem.images
        assert (row["why"], row["rejected_complete"]) == (made.why, made.rejected_complete)


@pytest.mark.slow
def test_trl_prepares_and_computes_on_it(make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trl = pytest.importorskip("trl", reason="TRL is not installed: pip install 'mixpref[peers]'")
    datasets = pytest.importorskip("datasets", reason="datasets is not installed: pip install 'mixpref[peers]'")
    from training.conftest import tiny_model, tiny_processor

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = tmp_path / "to"
    export(make_run(), "trl", folder)
    rows = datasets.load_dataset(
        "json", data_files=str(folder / "train.jsonl"), split="train", cache_dir=str(tmp_path / "cache")
    )
    rows = rows.map(lambda row: {"images": [str(folder / name) for name in row["images"]]})
    rows = rows.cast_column("images", datasets.List(datasets.Image()))
    processor = tiny_processor()
    config = trl.DPOConfig(
        output_dir=str(tmp_path / "out"),
        max_length=None,
        max_steps=len(PAIRS),
        per_device_train_batch_size=1,
        report_to="none",
        bf16=False,
        gradient_checkpointing=False,
        use_cpu=True,
        save_strategy="no",
    )
    model = tiny_model(processor)
    trainer = trl.DPOTrainer(
        model, ref_model=copy.deepcopy(model), args=config, train_dataset=rows, processing_class=processor
    )
    for number in range(len(rows)):
        inputs = trainer.data_collator([trainer.train_dataset[number]])
        pictures = len(rows[number]["images"])
        assert len(inputs.get("pixel_values", ())) in (pictures, 2 * pictures)
    assert trainer.train().training_loss > 0
