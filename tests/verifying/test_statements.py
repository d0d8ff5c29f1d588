"""The style `any`: how models state an answer that nobody told them how to state."""

import pytest

from mixpref.verifying.extract import extract
from mixpref.verifying.plain import plain


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("So.\n\\boxed{12}", "12"),
        ("First \\boxed{A}. No: \\boxed{B}, as it is blue.", "B"),
        ("So.\nFinal answer: 12\nI hope this helps.", "12"),
        ("So.\n**Answer:** B", "B"),
        ("So.\n**Answer: B**", "B"),
        ("So.\n*Answer: B*", "B"),
        ("> **Answer:** B", "B"),
        ("- Answer: B", "B"),
        ("ANSWER:B", "B"),
        ("Answer： （B）", "(B)"),
        ("Ans: 12", "12"),
        ("Correct option: B", "B"),
        ("The answer is (B).", "(B)"),
        ("The answer is **B**.", "B"),
        ("The answer is $\\frac{1}{2}$.", "1/2"),
        ("Hence, the answer is \\(\\frac{1}{2}\\).", "1/2"),
        ("The answer to the question is 12.", "12"),
        ("The answer, therefore, is 12.", "12"),
        ("The answer is therefore 12.", "12"),
        ("So the correct option is B", "B"),
        ("Thus the correct choice is **(A)**.", "(A)"),
        ("The best answer is C.", "C"),
        ("B is the correct answer.", "B"),
        ("Option (E) is the correct answer", "(E)"),
        ("So (B) 12 cm is the correct answer.", "(B)"),
        ("I would choose option B.", "option B"),
        ("I'd go with (B).", "(B)"),
        ("$\\text{Answer: } 12$", "12"),
        ("\\text{Answer: B}", "B"),
        ("\\textbf{The answer is (B).}", "(B)"),
        ("<answer> B </answer>", "B"),
        ("<answer>So\n\\boxed{3}</answer>", "3"),
        ("<|begin_of_box|>12<|end_of_box|>", "12"),
        ("<think>The answer is 3</think>The answer is 4.", "4"),
        # On the next line.
        ("Answer:\nB", "B"),
        ("### Answer\nB", "B"),
        ("## Final Answer\n\n**12**", "12"),
        ("Answer:\n```\n12\n```", "12"),
        ("Answer:\n\\[\n12\n\\]", "12"),
        ("Answer:\n-5", "-5"),
        ("Answer:\n- B", "B"),
        ("The answer is as follows:\n12", "12"),
        # Chinese.
        ("所以答案：B", "B"),
        ("所以，答案是 (D) 8。", "(D) 8"),
        ("正确答案是 C，因为它大。", "C"),
        ("故选B。", "B"),
        ("故选：（B）", "(B)"),
        ("选项B是正确的。", "B"),
        ("答案：12。因为3+9=12。", "12"),
    ],
)
def test_statements(text, answer):
    found = extract(text, "any")
    assert found.answer is not None
    assert plain(found.answer) == answer
    assert not found.sentence
    assert extract(text) == extract(f"It may be 7. Let me see.\n{text}")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The answer is 3. It is long.", "3"),
        ("The answer is 3.5 cm. It is long.", "3.5 cm"),
        ("The answer is 5 sq. ft.", "5 sq. ft"),
        ("The answer is Mr. Smith.", "Mr. Smith"),
        ("Answer: 12:30", "12:30"),
        ("The answer is B. 12 cm", "B. 12 cm"),
        ("The answer is B. The sky is blue on any such day.", "B"),
        ("The correct answer is (B). No, it is blue.", "(B)"),
        ("The correct answer is **(C) 145°**.\n\nSince it is so.", "(C) 145°"),
        ("Answer: B, because it is blue.", "B"),
        ("Answer: 12 cm, since 3+9.", "12 cm"),
        ("Answer: 12 because 3+9 = 12.", "12"),
        ("Answer: B\n\nExplanation: It is blue, as A is red.", "B"),
        ("The answer is (B).\nLet me know if the answer is correct.", "(B)"),
    ],
)
def test_a_statement_ends_where_remarks_begin(text, answer):
    assert plain(extract(text, "any").answer or "") == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The answer is not B.", "not B"),
        ("The answer is 12 or 13.", "12 or 13"),
        ("The answer is B, not A.", "B, not A"),
        ("The answer is 5 - 3.", "5 - 3"),
        ("It is wrong that B is correct.", "It is wrong that B is correct"),
        ("The answer isn't B.", "The answer isn't B"),
        ("So x = 5 and y = 7.", "So x = 5 and y = 7"),
        ("Therefore it is more than **2** cm.", "Therefore it is more than **2** cm"),
        ("A square is the best shape.\nWe are done, I think, with all of it.", "We are done, I think, with all of it"),
    ],
)
def test_what_is_undecided_is_handed_over_as_it_stands(text, answer):
    found = extract(text, "any")
    assert found.answer is not None
    assert found.answer.rstrip(".") == answer


@pytest.mark.parametrize("answer", ["12", "B", "(B)", "**B**", "12 cm", "$12$", "-5"])
def test_a_letter_or_number_alone_is_an_answer_as_the_whole_or_the_last_line(answer):
    for text in (answer, f"Let me see: 3 + 9.\n{answer}", f"Let me see.\n\n{answer}\n"):
        found = extract(text, "any")
        assert found.answer == answer
    assert extract("light purple", "any").answer == "light purple"
    assert extract("3 + 9\n#### 12", "any").answer == "12"
    assert extract("3 + 9\nA: 12", "any").answer == "A: 12"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("We add. Therefore, there are 12 apples. I hope this helps! Do you have other questions?",
         "Therefore, there are 12 apples."),
        ("Therefore, it is 11. However, one is missing. It is 12.", "It is 12."),
        ("The perimeter is 3 cm + 3 cm = **6 cm**.", "6 cm"),
        ("We count them all.\nSo there are **2** objects left in the picture.", "2"),
        ("Answer: To find it, we add. 3 + 9 = 12. So it is 12.", "So it is 12."),
        ("It is B or so.\n| A | 3 |\n| B | 4 |", "It is B or so."),
        ("I cannot determine the answer.", "I cannot determine the answer."),
        ("图中没有给出足够的信息，所以这个问题无法回答。", "图中没有给出足够的信息，所以这个问题无法回答。"),
    ],
)  # fmt: skip
def test_else_the_concluding_sentence_is_handed_over_as_a_sentence(text, answer):
    found = extract(text, "any")
    assert found.answer == answer
    assert found.sentence


@pytest.mark.parametrize(
    "text",
    ["", " \n", "**", "Which is it?\nA. foo\nB. bar", "So it is \\boxed{12", "So: <answer>12", "Answer:", "<think>12"],
)
def test_no_answer(text):
    found = extract(text, "any")
    assert found.answer is None or not plain(found.answer)
