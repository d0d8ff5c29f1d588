import pytest

from mixpref.evaluation import fields
from mixpref.sources.unusable import Unusable


def test_the_first_text_of_several_names():
    assert fields.text({"question": " How many? ", "text": "no"}, "question", "text") == "How many?"
    assert fields.text({"text": "How?"}, "question", "text") == "How?"
    # null is what parquet says of a field that a row does not have.
    assert fields.text({"question": None, "text": "How?"}, "question", "text") == "How?"


@pytest.mark.parametrize(
    ("row", "reason"),
    [({}, "it has no question or text"), ({"question": 7}, "its question is 7, and no text"), ({"text": " "}, "' '")],
)
def test_what_is_no_text(row, reason):
    with pytest.raises(Unusable, match=reason):
        fields.text(row, "question", "text")


@pytest.mark.parametrize(
    ("value", "found"),
    [(["ocr", " math "], ("ocr", "math")), ("ocr,math", ("ocr", "math")), ("", ()), (None, ()), ([1, "ocr"], ("ocr",))],
)
def test_texts_of_lists_and_of_commas(value, found):
    assert fields.texts({"capability": value}, "capability") == found


def test_keys_and_groups():
    assert fields.key({"id": 7}, "3", "question_id", "id") == "7"
    assert fields.key({"id": None}, "3", "id") == "3"
    assert fields.kind({"subject": " Algebra "}, "subject") == "algebra"
    assert fields.kind({"subject": None}, "subject") == "unknown"
