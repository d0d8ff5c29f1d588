"""The first step of a run: problems from the recipe's source onto the disk."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from itertools import islice
from typing import Any

from mixpref.errors import MixprefError
from mixpref.progress import say
from mixpref.records import Problem
from mixpref.rundir import Run
from mixpref.sources import Loaded, load
from mixpref.store import Artifact, write_text

BATCH = 64
"""Problems a shard; they carry their images."""


def load_problems(run: Run) -> None:
    """Fill `problems/train`, `problems/held_out` and `problems/rejected.jsonl` from the recipe's source.

    Both manifests hold the counts of the whole source: rows = train + held_out + unused + rejected + merged. An
    interrupted loading starts anew, since the files may have changed between.

    Raises MixprefError where the source cannot be read or gives no problems.
    """
    train, held_out = run.problems("train"), run.problems("held_out")
    if train.finished and held_out.finished:
        return
    train.discard()
    held_out.discard()
    loaded = load(run.recipe)
    lines = (json.dumps(asdict(each), ensure_ascii=False) + "\n" for each in loaded.rejected)
    write_text(run.rejects_file, "".join(lines))
    for artifact, problems in ((held_out, loaded.held_out), (train, loaded.train)):
        _write(artifact, problems)
        if not len(artifact):
            raise MixprefError(f"there are no problems for {artifact.path}; raise problems.{artifact.path.name}")
    kinds = Counter(each.kind for each in loaded.rejected)
    counts: dict[str, Any] = {
        "rows": loaded.rows,
        "train": len(train),
        "held_out": len(held_out),
        "unused": loaded.unused,
        "rejected": {"all": len(loaded.rejected), **dict(sorted(kinds.items()))},
    }
    if loaded.merged:
        counts["merged"] = loaded.merged
    taken = len(train) + len(held_out) + loaded.unused + len(loaded.rejected) + loaded.merged
    assert taken == loaded.rows, f"{loaded.rows} rows went in and {taken} came out"
    settings = {"seed": run.recipe.seed, **run.recipe.to_dict()["problems"]}
    for artifact in (held_out, train):
        artifact.finish(settings, counts)
    say(f"problems: {len(train)} to train on, {len(held_out)} held out" + _left_out(run, loaded, kinds))


def _write(artifact: Artifact[Problem], problems: Iterable[Problem]) -> None:
    remaining = iter(problems)
    index = 0
    while batch := list(islice(remaining, BATCH)):
        artifact.append(f"{index:05d}", batch)
        index += 1


def _left_out(run: Run, loaded: Loaded, kinds: Counter[str]) -> str:
    text = f", {loaded.unused} not asked for" if loaded.unused else ""
    text += f", {loaded.merged} rows ask what another one asks" if loaded.merged else ""
    if kinds:
        reasons = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        text += f"; {kinds.total()} rows are unusable ({reasons}), listed in {run.rejects_file}"
    return text
