import pytest
from PIL import Image

from mixpref.errors import MixprefError
from mixpref.training.data import PairDataset, end_of_turn, read_pairs

from .conftest import make_row, picture


def said(text):
    return [{"role": "assistant", "content": text}]


def decode(processor, tokens):
    return processor.tokenizer.decode(list(tokens))


def test_a_row_becomes_prompt_responses_and_pictures(processor):
    (example,) = [PairDataset([make_row(1)], processor)[0]]
    assert example.prompt == "<user><image>How many? x<end>\n<assistant>"
    # What follows the end of the turn in the template is not the model's to say.
    assert decode(processor, example.chosen) == "I count 1. Yes.<end>"
    assert decode(processor, example.rejected) == "Well, 2<end>"
    assert [image.size for image in example.images] == [(20, 12)]
    assert example.counts


def test_a_cut_response_is_taught_no_end(processor):
    example = PairDataset([make_row(1, rejected_complete=False)], processor)[0]
    assert decode(processor, example.chosen).endswith("<end>")
    assert decode(processor, example.rejected) == "Well, 2"


def test_rows_may_be_texts(processor):
    row = {"prompt": "<user><image>What?<assistant>", "chosen": "A<end>", "rejected": "B", "image": picture(0)}
    example = PairDataset([row], processor)[0]
    assert example.prompt == row["prompt"]
    assert decode(processor, example.chosen) == "A<end>"
    assert decode(processor, example.rejected) == "B<end>"


def test_pictures_may_be_bytes_paths_dicts_or_open(processor, tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(picture(3))
    kinds = [picture(3), path, str(path), {"bytes": picture(3)}, {"bytes": None, "path": str(path)}, Image.open(path)]
    pairs = PairDataset([make_row(3, images=[kind]) for kind in kinds], processor)
    assert not pairs.refused
    assert len({pairs[index].images[0].tobytes() for index in range(len(kinds))}) == 1


def test_pictures_have_the_places_that_the_prompt_gives_them(processor):
    content = [
        {"type": "text", "text": "Compare "},
        {"type": "image"},
        {"type": "text", "text": " with "},
        {"type": "image"},
    ]
    row = make_row(0, prompt=[{"role": "user", "content": content}], images=[picture(0), picture(1)])
    example = PairDataset([row], processor)[0]
    assert example.prompt == "<user>Compare <image> with <image><end>\n<assistant>"
    assert len(example.images) == 2


TWO_MARKS = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "and <image>?"}]}]
ONE_MARK = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "?"}]}]
REFUSALS = [
    (make_row(0, chosen=said("  ")), "chosen is empty"),
    (make_row(0, rejected=said("")), "rejected is empty"),
    (make_row(0, chosen=None), "no chosen"),
    (make_row(0, prompt=[]), "no prompt"),
    (make_row(0, prompt=[{"role": "user"}]), "prompt is neither a text nor a conversation"),
    (make_row(0, chosen=[{"role": "user", "content": "Hm"}]), "chosen is not one message of the assistant"),
    (make_row(0, rejected=said("an <image> here")), "rejected holds an image token"),
    (make_row(0, chosen=said("same"), rejected=said("same")), "chosen and rejected are the same"),
    (make_row(0, prompt=TWO_MARKS), "more image placeholders than images"),
    (make_row(0, prompt=ONE_MARK, images=[picture(0), picture(1)]), "fewer image placeholders than images"),
    (make_row(0, images=[picture(0)[:200]]), "an image cannot be opened (OSError)"),
    (make_row(0, images=["/nowhere.png"]), "an image cannot be opened (FileNotFoundError)"),
    (make_row(0, chosen=said("long " * 50)), "longer than 100 tokens"),
]


@pytest.mark.parametrize(("bad", "reason"), REFUSALS, ids=[reason for _, reason in REFUSALS])
def test_what_cannot_be_trained_on_is_refused_with_its_row(processor, bad, reason):
    pairs = PairDataset([make_row(1), bad, make_row(2)], processor, max_length=100)
    assert [(each.row, each.reason) for each in pairs.refused] == [(1, reason)]
    assert pairs.reasons() == {reason: 1}
    assert [decode(processor, pairs[index].chosen)[8:9] for index in range(len(pairs))] == ["1", "2"]


def test_same_text_is_another_response_if_only_one_is_cut(processor):
    row = make_row(0, chosen=said("same"), rejected=said("same"), rejected_complete=False)
    assert not PairDataset([row], processor).refused


def test_max_length_counts_the_pictures(processor):
    row = make_row(0, chosen=said("a"), rejected=said("b"))
    # <user>, 4 of the picture, "How many? ", <end>, newline, <assistant>; then one byte and the end.
    exact = 1 + 4 + len("How many? ") + 3 + 2
    assert not PairDataset([row], processor, max_length=exact).refused
    assert PairDataset([row], processor, max_length=exact).shapes[0].longest == exact
    assert PairDataset([row], processor, max_length=exact - 1).refused


def test_nothing_usable_is_an_error(processor):
    with pytest.raises(MixprefError, match=r"none of the 2 .* chosen and rejected are the same \(1\)"):
        read_pairs([make_row(0, chosen=None), make_row(0, chosen=said("1"), rejected=said("1"))], processor)
    with pytest.raises(MixprefError, match="none of the 0"):
        read_pairs([], processor)


def test_the_template_says_what_ends_a_turn(processor):
    tokenizer = processor.tokenizer
    assert end_of_turn(processor) == tokenizer.convert_tokens_to_ids("<end>")
    before = tokenizer.eos_token
    try:
        tokenizer.eos_token = "<pad>"
        assert end_of_turn(processor) == tokenizer.convert_tokens_to_ids("<end>")
    finally:
        tokenizer.eos_token = before
