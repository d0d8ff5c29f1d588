import pytest

from mixpref import prompts
from mixpref.engines.blind import without_images
from mixpref.records import Problem


@pytest.mark.parametrize(
    ("question", "left"),
    [
        ("What is it?", "What is it?"),
        ("<image>\nWhat is it?", "What is it?"),
        ("<image> <image>\nWhich?", "Which?"),
        ("<image>What is it?", "What is it?"),
        ("Compare <image> with <image>.", "Compare with."),
        ("First:\n<image>\nSecond:\n <image>\nWhich?", "First:\nSecond:\nWhich?"),
        ("Look.\n<image> What is it?", "Look.\nWhat is it?"),
    ],
)
def test_marks_go_without_a_trace(question, left):
    problem = Problem(question=question, choices=("<image> red", "blue"), images=(b"1", b"2", b"3"))
    blind = without_images(problem)
    assert (blind.question, blind.choices, blind.images, blind.id) == (left, ("red", "blue"), (), problem.id)
    (message,) = prompts.messages(blind, "plain")
    assert [part["type"] for part in message["content"]] == ["text"]
