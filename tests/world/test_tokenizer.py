import pytest
from transformers import AutoProcessor

from mixpref.world.lessons import texts
from mixpref.world.tokenizer import make_processor, train_tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(texts(20))


@pytest.mark.parametrize("text", ["7 + 13 = 20.\nFinal answer: 20", "naïve 日本語 ∠ 🙂", "a  b\t\n c", ""])
def test_any_text_survives(tokenizer, text):
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_digits_stand_alone(tokenizer):
    pieces = tokenizer.tokenize("135 + 28")
    assert [piece.strip("Ġ") for piece in pieces] == ["1", "3", "5", "+", "2", "8"]


def test_no_text_makes_a_special_token_by_merging(tokenizer):
    assert tokenizer.all_special_ids == sorted(set(tokenizer.all_special_ids), key=tokenizer.all_special_ids.index)
    assert tokenizer.convert_tokens_to_ids("<end>") == tokenizer.eos_token_id


def test_processor_comes_back_from_disk_with_its_template(tokenizer, tmp_path):
    processor = make_processor(tokenizer)
    processor.save_pretrained(tmp_path)
    loaded = AutoProcessor.from_pretrained(tmp_path)
    conversation = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Hello?"}]}]
    rendered = loaded.apply_chat_template(conversation, add_generation_prompt=True)
    assert rendered == "<user><image>Hello?<end><assistant>"
    answered = [*conversation, {"role": "assistant", "content": "Yes."}]
    assert loaded.apply_chat_template(answered) == rendered + "Yes.<end>"
