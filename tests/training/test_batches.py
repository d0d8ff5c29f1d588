import itertools
import math

import pytest

from mixpref.training.batches import StepBatches

LENGTHS = [(7 * index) % 23 for index in range(43)]


def batches(**settings):
    return StepBatches(LENGTHS, **{"step_pairs": 10, "micro_pairs": 3, "seed": 5, **settings})


def steps(count, rest, sampler):
    """The micro-batches of each step: `count` a full step, `rest` the last one."""
    found = list(sampler)
    assert len(found) == len(sampler)
    sizes = [count] * (len(LENGTHS) // 10) + [rest]
    parts = iter(found)
    cut = [list(itertools.islice(parts, size)) for size in sizes]
    assert next(parts, None) is None
    return cut


def members(step):
    return {pair for batch in step for pair, counts in batch if counts}


def test_an_epoch_has_every_pair_once():
    pairs = [pair for batch in batches() for pair, counts in batch if counts]
    assert sorted(pairs) == list(range(43))


@pytest.mark.parametrize(("micro", "count", "rest"), [(10, 1, 1), (5, 2, 1), (4, 3, 1), (3, 4, 1), (1, 10, 3)])
def test_steps_do_not_depend_on_the_micro_batches(micro, count, rest):
    cut = steps(count, rest, batches(micro_pairs=micro))
    whole = steps(1, 1, batches(micro_pairs=10))
    assert [members(step) for step in cut] == [members(step) for step in whole]
    assert all(len(batch) <= micro for step in cut for batch in step)


@pytest.mark.parametrize("processes", [2, 3, 4, 7])
def test_processes_share_a_step_and_keep_pace(processes):
    whole = steps(1, 1, batches(micro_pairs=10))
    ranks = [list(batches(micro_pairs=2, rank=rank, processes=processes)) for rank in range(processes)]
    assert len({len(rank) for rank in ranks}) == 1
    count, rest = (math.ceil(math.ceil(pairs / processes) / 2) for pairs in (10, 3))
    shares = [steps(count, rest, batches(micro_pairs=2, rank=rank, processes=processes)) for rank in range(processes)]
    for number, step in enumerate(whole):
        counted = [pair for share in shares for batch in share[number] for pair, counts in batch if counts]
        assert sorted(counted) == sorted(members(step))
        # Nobody has nothing to do: a forward pass that one process skips would leave the others waiting.
        assert all(batch for share in shares for batch in share[number])


def test_like_lengths_share_a_micro_batch():
    for step in steps(2, 1, batches(micro_pairs=5)):
        lengths = [[LENGTHS[pair] for pair, _ in batch] for batch in step]
        for before, after in itertools.pairwise(lengths):
            assert min(before) >= max(after)


def test_order_depends_on_seed_and_epoch_alone():
    one, two = batches(), batches()
    assert list(one) == list(two) == list(one)
    two.set_epoch(1)
    assert list(one) != list(two)
    assert list(one) != list(batches(seed=6))
    one.set_epoch(1)
    assert list(one) == list(two)


def test_without_a_seed_the_steps_follow_the_rows():
    assert [members(step) for step in steps(1, 1, batches(seed=None, micro_pairs=10))] == [
        set(range(start, min(start + 10, 43))) for start in range(0, 43, 10)
    ]
