"""What is asked of a server and how its answers are read, without any server."""

from __future__ import annotations

import base64
import json

import pytest

from mixpref.engines import exchange
from mixpref.engines.exchange import BrokenAnswer, Choice
from mixpref.engines.request import Request, Sampling
from mixpref.errors import MixprefError
from mixpref.records import Problem

PNG, JPEG = b"\x89PNG\r\n\x1a\n rest", b"\xff\xd8\xff rest"


def asked(question="q", *, images=(), style="plain", **settings):
    return Request(problem=Problem(question=question, answer="1", images=images), style=style, **settings)


def content(request):
    return exchange.conversation(request)[0]["content"]


def fields(request, sampling=None, **settings):
    return json.loads(exchange.payload(request, sampling or Sampling(), model="m", **settings))


def reply(*choices, usage=None):
    return json.dumps({"choices": list(choices), "usage": usage}).encode()


def said(text="yes", finish="stop", **more):
    return {"message": {"content": text}, "finish_reason": finish, **more}


def test_images_are_data_urls_of_their_kind_at_their_places():
    parts = content(asked("Is <image> like <image>?", images=(PNG, JPEG)))
    assert [part["type"] for part in parts] == ["text", "image_url", "text", "image_url", "text"]
    assert [part["text"] for part in parts if part["type"] == "text"] == ["Is ", " like ", "?"]
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    assert urls == [
        f"data:image/png;base64,{base64.b64encode(PNG).decode()}",
        f"data:image/jpeg;base64,{base64.b64encode(JPEG).decode()}",
    ]


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"GIF89a", "gif"),
        (b"RIFF\0\0\0\0WEBP", "webp"),
        (b"BM", "bmp"),
        (b"II*\0", "tiff"),
        (b"\0\0\0\x1cftypavif", "avif"),
    ],
)
def test_the_bytes_tell_the_kind_of_an_image(start, kind):
    assert content(asked(images=(start + b" rest",)))[0]["image_url"]["url"].startswith(f"data:image/{kind};base64,")


def test_an_image_of_no_known_kind_is_refused():
    with pytest.raises(ValueError, match="neither PNG"):
        exchange.conversation(asked(images=(b"<svg/>",)))


def test_images_without_marks_come_first_and_text_alone_is_a_plain_string():
    assert [part["type"] for part in content(asked("What?", images=(PNG,)))] == ["image_url", "text"]
    assert content(asked("What?")) == "What?"


def test_blind_is_without_images_and_marks():
    assert content(asked("<image>\nIs <image> red?", images=(PNG, JPEG), blind=True)) == "Is red?"


def test_a_prefix_is_a_last_turn_to_go_on_from():
    sent = fields(asked(prefix="First, "))
    assert sent["messages"][-1] == {"role": "assistant", "content": "First, "}
    assert (sent["continue_final_message"], sent["add_generation_prompt"]) == (True, False)
    assert not {"continue_final_message", "add_generation_prompt"} & fields(asked()).keys()


def test_all_settings_of_sampling_are_sent_so_that_the_model_s_own_defaults_do_not_count():
    sent = fields(asked(), Sampling(temperature=0.7, top_k=0, top_p=0.9, max_new_tokens=5))
    assert {name: sent[name] for name in ("temperature", "top_k", "top_p", "max_tokens")} == {
        "temperature": 0.7,
        "top_k": -1,
        "top_p": 0.9,
        "max_tokens": 5,
    }
    assert (sent["repetition_penalty"], sent["min_p"]) == (1.0, 0.0)
    assert fields(asked(), Sampling(top_k=50))["top_k"] == 50


def test_greedy_is_temperature_0_without_other_limits():
    sent = fields(asked(), Sampling(temperature=0))
    assert sent["temperature"] == 0
    assert not {"top_k", "top_p", "min_p"} & sent.keys()


def test_seeds_depend_on_run_and_problem_and_neighbouring_runs_share_none():
    seeds = [
        exchange.seed_base(asked(question, seed=seed)) + sample
        for question in "ab"
        for seed in range(20)
        for sample in range(32)
    ]
    assert len(set(seeds)) == len(seeds)
    assert max(seeds) < 2**31


def test_the_seed_of_a_request_is_that_of_its_first_missing_sample():
    base = exchange.seed_base(asked())
    sent = fields(asked(samples=8, first=16))
    assert (sent["n"], sent["seed"]) == (8, base + 16)
    sent = fields(asked(samples=8, first=16), first=3)
    assert (sent["n"], sent["seed"]) == (5, base + 19)


def test_choices_come_in_the_order_of_their_indices_and_no_more_than_are_wanted():
    body = reply(said("c", index=2), said("a", index=0), said("b", index=1))
    assert [choice.text for choice in exchange.choices(body, 2)] == ["a", "b"]
    assert [choice.text for choice in exchange.choices(body, 5)] == ["a", "b", "c"]


def test_tokens_are_counted_where_the_server_tells_them():
    usage = {"completion_tokens": 7}
    counted = reply(said(token_ids=[1, 2]), said(token_ids=[1, 2, 3, 4, 5]), usage=usage)
    assert [choice.tokens for choice in exchange.choices(counted, 2)] == [2, 5]
    assert exchange.choices(reply(said(), usage=usage), 1)[0].tokens == 7
    assert [choice.tokens for choice in exchange.choices(reply(said(), said(), usage=usage), 2)] == [4, 4]
    assert exchange.choices(reply(said()), 1)[0].tokens == 0


def test_token_ids_are_asked_for_where_usage_would_not_tell():
    assert "return_token_ids" not in fields(asked())
    assert fields(asked(samples=2))["return_token_ids"] is True
    assert "return_token_ids" not in fields(asked(samples=2), first=1)
    assert "return_token_ids" not in fields(asked(samples=2), logprobs=True)


def test_logprobs_are_summed_and_count_the_tokens():
    assert fields(asked(), logprobs=True)["logprobs"] is True
    told = said(logprobs={"content": [{"logprob": -0.5}, {"logprob": -1}]})
    assert exchange.choices(reply(told), 1) == [Choice("yes", 2, "stop", -1.5)]
    assert exchange.choices(reply(said(logprobs=None)), 1)[0].logprob is None
    assert (
        exchange.choices(b'{"choices": [%s]}' % json.dumps(told).replace("-1}", "NaN}").encode(), 1)[0].logprob is None
    )


def test_an_empty_text_is_an_answer_and_another_end_is_none():
    assert exchange.choices(reply(said("")), 1) == [Choice("", 0, "stop")]
    assert exchange.choices(reply(said(None)), 1) == [Choice("", 0, "stop")]
    assert exchange.choices(reply(said("a", "length")), 1)[0].finish == "length"
    for finish in ("content_filter", "abort", None):
        (choice,) = exchange.choices(reply(said("a", finish)), 1)
        assert (choice.finish, choice.text) == ("error", "")
        assert str(finish) in choice.error


def test_a_refusal_is_a_failed_sample():
    (choice,) = exchange.choices(reply({"message": {"refusal": "I may not."}, "finish_reason": "stop"}), 1)
    assert choice == Choice(error="the model refuses: I may not.")


def test_a_text_that_no_file_can_hold_is_mended():
    (choice,) = exchange.choices(b'{"choices": [{"message": {"content": "a\\ud83d"}, "finish_reason": "stop"}]}', 1)
    assert choice.text == "a?"


def test_split_off_reasoning_is_a_mistake_of_the_set_up():
    for name in ("reasoning", "reasoning_content"):
        with pytest.raises(MixprefError, match="without a reasoning parser"):
            exchange.choices(reply({"message": {"content": "4", name: "2 + 2"}, "finish_reason": "stop"}), 1)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"choices": [{"mess',
        b"\xff",
        b"[]",
        b"{}",
        b'{"choices": []}',
        b"[" * 100_000,
        b'{"choices": ["a"]}',
        b'{"choices": [{}]}',
        b'{"choices": [{"message": {"content": 4}, "finish_reason": "stop"}]}',
    ],
)
def test_what_is_no_answer_is_broken(body):
    with pytest.raises(BrokenAnswer):
        exchange.choices(body, 1)


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (b'{"error": {"message": "too\\nlong"}}', "too long"),
        (b'{"object": "error", "message": "too long"}', "too long"),
        (b'{"detail": "Not Found"}', "Not Found"),
        (b'{"error": "no"}', "no"),
        (b"<html> Bad  gateway", "<html> Bad gateway"),
        (b"x" * 1000, "x" * 300 + " ..."),
    ],
)
def test_a_server_s_words_are_one_short_line(body, line):
    assert exchange.quote(body) == line


def test_a_response_tells_seed_prefix_and_sampler():
    request = asked(prefix="So", seed=3)
    told = exchange.response(request, Sampling(), "name", 5, Choice("a", 2, "length", -1.0))
    assert told.seed == exchange.seed_base(request) + 5
    assert (told.sample, told.text, told.tokens, told.finish, told.logprob) == (5, "a", 2, "length", -1.0)
    assert (told.prefix, told.style, told.sampler) == ("So", "plain", "name T=1 top_k=50 top_p=1")
