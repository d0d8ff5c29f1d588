import itertools

import pytest

from mixpref.training.batches import Packing, StepBatches
from mixpref.training.shapes import Shape, row_tokens


def lonely(number):
    """A pair whose prompt no other has."""
    return Shape(group=number, prompt=5, chosen=(0, 1 + (7 * number) % 23), rejected=(1, 1))


def related(number):
    """One of up to 7 pairs among 5 responses of a prompt."""
    group = number // 7
    return Shape(
        group=group, prompt=20 + group, chosen=(number % 2, 3 + number % 2), rejected=(2 + number % 3, 5 + number % 3)
    )


LONELY = [lonely(number) for number in range(43)]
RELATED = [related(number) for number in range(43)]


def batches(shapes=LONELY, **settings):
    settings = {"step_pairs": 10, "micro_pairs": 3, "seed": 5, **settings}
    order = {name: settings.pop(name) for name in ("step_pairs", "group_pairs", "seed") if name in settings}
    return StepBatches(shapes, Packing(**settings), **order)


def members(step):
    return {pair for batch in step for pair, counts in batch if counts}


@pytest.mark.parametrize("shapes", [LONELY, RELATED])
@pytest.mark.parametrize("settings", [{}, {"together": False}, {"micro_pairs": None, "row_tokens": 40}])
def test_an_epoch_has_every_pair_once(shapes, settings):
    sampler = batches(shapes, **settings)
    steps = list(sampler)
    pairs = [pair for step in steps for batch in step for pair, counts in batch if counts]
    assert sorted(pairs) == list(range(43))
    assert len(steps) == len(sampler) == 5
    assert [len(members(step)) for step in steps] == [10, 10, 10, 10, 3]


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("micro", [10, 5, 4, 3, 1])
def test_steps_do_not_depend_on_the_micro_batches(micro, together):
    cut = list(batches(RELATED, micro_pairs=micro, together=together))
    whole = list(batches(RELATED, micro_pairs=None))
    assert [members(step) for step in cut] == [members(step) for step in whole]
    assert all(len(batch) <= micro for step in cut for batch in step)
    assert all(len(step) == 1 for step in whole)


@pytest.mark.parametrize("processes", [2, 3, 4, 7])
@pytest.mark.parametrize("shapes", [LONELY, RELATED])
def test_processes_share_a_step_and_keep_pace(shapes, processes):
    whole = list(batches(shapes, micro_pairs=None))
    ranks = [list(batches(shapes, micro_pairs=2, rank=rank, processes=processes)) for rank in range(processes)]
    for number, step in enumerate(whole):
        shares = [rank[number] for rank in ranks]
        assert len({len(share) for share in shares}) == 1
        counted = [pair for share in shares for batch in share for pair, counts in batch if counts]
        assert sorted(counted) == sorted(members(step))
        # Nobody has nothing to do: a forward pass that one process skips would leave the others waiting.
        assert all(batch for share in shares for batch in share)
        assert all(len(batch) <= 2 for share in shares for batch in share)


def test_like_lengths_share_a_micro_batch_of_the_plain_step():
    for step in batches(micro_pairs=5, together=False):
        lengths = [[LONELY[pair].longest for pair, _ in batch] for batch in step]
        for before, after in itertools.pairwise(lengths):
            assert min(before) >= max(after)


def test_a_row_counts_prompts_and_responses_once():
    assert row_tokens([RELATED[0]]) == 20 + 3 + 5
    # Pairs 0 and 6 have both responses in common, 1 has two others; 7 is of another prompt.
    assert row_tokens([RELATED[number] for number in (0, 6, 1, 7)]) == 20 + 3 + 5 + 4 + 6 + 21 + 4 + 6


def test_rows_keep_to_their_tokens_and_prompts_together():
    step_pairs, most = 20, 80
    for step in batches(RELATED, micro_pairs=None, row_tokens=most, step_pairs=step_pairs):
        rows = [[RELATED[pair] for pair, _ in batch] for batch in step]
        assert all(row_tokens(row) <= most for row in rows)
        # All pairs of a prompt fit into one row here.
        groups = [{shape.group for shape in row} for row in rows]
        assert sum(map(len, groups)) == len(set().union(*groups))


def test_a_group_too_large_for_a_row_is_cut_between_pairs():
    (step,) = batches(RELATED[:7], micro_pairs=None, row_tokens=36, step_pairs=7)
    assert len(step) > 1
    assert all(row_tokens([RELATED[pair] for pair, _ in batch]) <= 36 for batch in step)
    assert members(step) == set(range(7))


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_no_more_pairs_of_a_prompt_share_a_step_than_are_allowed(limit):
    steps = list(batches(RELATED, group_pairs=limit))
    for step in steps:
        groups = [RELATED[pair].group for pair in members(step)]
        assert max(map(groups.count, groups)) <= limit
    assert sorted(pair for step in steps for pair in members(step)) == list(range(43))


def test_without_a_limit_prompts_stay_whole():
    steps = list(batches(RELATED, micro_pairs=None, step_pairs=14))
    homes = [
        {number for number, step in enumerate(steps) if members(step) & set(range(g, g + 7))} for g in range(0, 35, 7)
    ]
    # Only the end of a step cuts a prompt in two.
    assert sum(map(len, homes)) <= 5 + len(steps) - 1


def test_order_depends_on_seed_and_epoch_alone():
    one, two = batches(), batches()
    assert list(one) == list(two) == list(one)
    two.set_epoch(1)
    assert list(one) != list(two)
    assert list(one) != list(batches(seed=6))
    one.set_epoch(1)
    assert list(one) == list(two)


def test_without_a_seed_the_steps_follow_the_rows():
    assert [members(step) for step in batches(seed=None, micro_pairs=None)] == [
        set(range(start, min(start + 10, 43))) for start in range(0, 43, 10)
    ]
