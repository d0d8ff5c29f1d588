import itertools

import pytest
import torch

from mixpref.training.config import MPOConfig
from mixpref.training.data import PairDataset
from mixpref.training.loading import step_loader
from mixpref.training.packing import PackedCollator


@pytest.fixture
def load(processor, related, tmp_path):
    pairs = PairDataset(related, processor)

    def load(**settings):
        args = MPOConfig(output_dir=str(tmp_path), use_cpu=True, **settings)
        return step_loader(pairs, PackedCollator(processor), args, step_pairs=5, micro_pairs=2, seed=3)

    return load


def test_an_item_is_a_step_of_micro_batches(load):
    loader = load()
    steps = list(loader)
    assert len(steps) == len(loader) == 3
    assert [sum(len(batch["counts"]) for batch in step) for step in steps] == [5, 5, 1]
    assert all(len(batch["counts"]) <= 2 for step in steps for batch in step)


def test_workers_load_the_same_steps(load):
    for one, other in zip(load(), load(dataloader_num_workers=2), strict=True):
        for left, right in zip(one, other, strict=True):
            assert torch.equal(left["inputs"]["input_ids"], right["inputs"]["input_ids"])
            assert left["layout"] == right["layout"]


def test_the_epoch_is_heard(load):
    loader = load()
    first = [step[0]["keys"] for step in loader]
    loader.set_epoch(1)
    assert [step[0]["keys"] for step in loader] != first
    everything = set(itertools.chain.from_iterable(batch["keys"] for step in loader for batch in step))
    assert everything == loader.dataset.keys()
