from mixpref.training.data import PairDataset
from mixpref.training.packing import PackedCollator

from .conftest import make_row


def test_what_occurs_several_times_occurs_once_in_the_row(processor, related):
    pairs = PairDataset(related, processor)
    examples = [pairs[index] for index in (0, 3, 2, 0)]
    batch = PackedCollator(processor)(examples)
    ids = batch["inputs"]["input_ids"][0].tolist()
    assert batch["inputs"]["pixel_values"].shape[0] == 2
    assert batch["inputs"]["attention_mask"].all()
    groups = batch["layout"].groups
    assert batch["layout"].size == len(ids)
    # Pair 2 has the chosen response of pair 0, and pair 0 comes twice.
    assert [len(group.responses) for group in groups] == [3, 2]
    assert batch["chosen"].tolist() == [0, 3, 0, 0]
    assert batch["rejected"].tolist() == [1, 4, 2, 1]
    spans = [span for group in groups for span in group.responses]
    for each, chosen, rejected in zip(examples, batch["chosen"], batch["rejected"], strict=True):
        for said, number in ((each.chosen, chosen), (each.rejected, rejected)):
            assert tuple(ids[slice(*spans[number])]) == said
            own = batch["owners"] == number
            assert tuple(batch["targets"][own].tolist()) == said
            begin, stop = spans[number]
            end = next(group.prompt[1] for group in groups if spans[number] in group.responses)
            assert batch["predicts"][own].tolist() == [end - 1, *range(begin, stop - 1)]
            assert batch["lengths"][number] == len(said)


def test_keys_tell_prompts_pictures_and_responses_apart(processor):
    rows = [make_row(0), make_row(0, images=make_row(1)["images"]), make_row(0, prompt=make_row(1)["prompt"])]
    keys = PairDataset(rows, processor).keys()
    assert len(keys) == 6
    again = PairDataset([make_row(5), *rows], processor)
    assert keys < again.keys()
    batch = PackedCollator(processor)([again[1], again[2]])
    assert set(batch["keys"]) == {*again.keys_of(1), *again.keys_of(2)}


def test_a_pair_counts_the_tokens_of_two_sequences(processor):
    pairs = PairDataset([make_row(1)], processor)
    shape = pairs.shapes[0]
    batch = PackedCollator(processor)([pairs[0]])
    assert batch["tokens"].tolist() == [2 * shape.prompt + shape.chosen[1] + shape.rejected[1]]
