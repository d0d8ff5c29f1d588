"""The engine of servers: what is asked, read ahead and left behind. The servers on 127.0.0.1 answer by rote."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time

import pytest
from asking import answers, asked, engine, leaves_no_thread, only, quick_and_alone, until  # noqa: F401
from fake_server import FakeServer, Scripted, by_rote

from mixpref.engines import exchange
from mixpref.engines.request import Request, Sampling
from mixpref.engines.server import ServerEngine
from mixpref.errors import MixprefError
from mixpref.records import Problem

PNG = b"\x89PNG\r\n\x1a\n rest"


def test_every_request_is_answered_with_all_its_samples():
    with FakeServer() as server:
        told = answers(engine(server, name="tiny"), asked(20, samples=3, first=4, seed=1))
    assert sorted(told) == list(range(20))
    for place, responses in told.items():
        assert [response.sample for response in responses] == [4, 5, 6]
        for response in responses:
            text = by_rote([{"role": "user", "content": f"q{place}"}], response.seed)
            assert (response.text, response.finish, response.error) == (text, "stop", "")
            assert response.tokens == len(text.split()) + 1
            assert response.sampler == "tiny T=1 top_k=50 top_p=1"
    assert server.counts["requests"] == 20


def test_no_requests_and_no_samples_are_no_work():
    with FakeServer() as server:
        assert answers(engine(server), []) == {}
        assert answers(engine(server), asked(1, samples=0)) == {0: ()}
    assert server.counts["requests"] == 0


def test_samples_are_the_same_at_once_or_in_rounds():
    with FakeServer() as server:
        (at_once,) = answers(engine(server), asked(1, samples=32)).values()
        rounds = [answers(engine(server), asked(1, samples=4, first=first))[0] for first in range(0, 32, 4)]
        (other_run,) = answers(engine(server), asked(1, samples=32, seed=1)).values()
    assert at_once == tuple(itertools.chain(*rounds))
    assert not {each.seed for each in at_once} & {each.seed for each in other_run}
    assert len({each.text for each in at_once}) > 1


@pytest.mark.parametrize("most", [1, 3])
def test_what_a_server_leaves_out_of_n_is_asked_for_again(most):
    with FakeServer(most=most) as server, FakeServer() as other:
        assert answers(engine(server), asked(2, samples=8)) == answers(engine(other), asked(2, samples=8))
    assert server.counts["requests"] == 2 * -(-8 // most)


def test_what_a_server_gives_beyond_n_is_left():
    def double(request, reply):
        reply["choices"] += [{**choice, "index": choice["index"] + 100} for choice in reply["choices"]]

    with FakeServer(edit=double) as server, FakeServer() as other:
        assert answers(engine(server), asked(2, samples=3)) == answers(engine(other), asked(2, samples=3))
    assert server.counts["requests"] == 2


def test_greedy_is_one_sample():
    with FakeServer() as server:
        assert only(engine(server), sampling=Sampling(temperature=0)).sampler == "fake greedy"
        with pytest.raises(ValueError, match="greedy decoding gives one response, not 2"):
            answers(engine(server), asked(1, samples=2), Sampling(temperature=0))
    assert server.requests[0]["temperature"] == 0


def test_logprobs_are_asked_for_on_request():
    with FakeServer() as server:
        response = only(engine(server, logprobs=True))
        assert response.logprob == -0.5 * response.tokens
        assert only(engine(server)).logprob is None


def test_images_prefix_and_blindness_reach_the_server():
    problem = Problem(question="<image>What?", answer="1", images=(PNG,))
    with FakeServer() as server:
        seeing = Request(problem=problem, style="plain")
        answers(engine(server), [seeing])
        only(engine(server), Request(problem=problem, style="plain", blind=True, prefix="It"))
    first, second = server.requests
    assert [part["type"] for part in first["messages"][0]["content"]] == ["image_url", "text"]
    assert second["messages"] == [{"role": "user", "content": "What?"}, {"role": "assistant", "content": "It"}]


def test_a_request_that_cannot_be_put_is_a_failed_item_that_stops_nobody():
    broken = Request(problem=Problem(question="<image>?", answer="1"), style="plain", samples=2, first=3, prefix="So")
    with FakeServer() as server:
        told = answers(engine(server), [*asked(2), broken])
    assert [response.finish for response in told[2]] == ["error", "error"]
    assert [response.sample for response in told[2]] == [3, 4]
    assert "1 <image> marks but 0 images" in told[2][0].error
    assert told[2][0].prefix == "So"
    assert told[2][0].seed == exchange.seed_base(broken) + 3
    assert told[0][0].finish == told[1][0].finish == "stop"
    assert server.counts["requests"] == 2


def test_an_empty_text_is_a_response():
    with FakeServer(text=lambda messages, seed: "") as server:
        response = only(engine(server))
    assert (response.text, response.finish, response.tokens) == ("", "stop", 1)


def test_another_end_than_stop_and_length_is_a_failed_sample():
    def edit(request, reply):
        reply["choices"][0]["finish_reason"] = "content_filter"
        reply["choices"][1]["finish_reason"] = "length"

    with FakeServer(edit=edit) as server:
        (responses,) = answers(engine(server), asked(1, samples=3)).values()
    assert [response.finish for response in responses] == ["error", "length", "stop"]
    assert "content_filter" in responses[0].error


def test_servers_share_the_load():
    with FakeServer(latency=0.005) as one, FakeServer(latency=0.005) as other:
        told = answers(engine(one, other, concurrency=4), asked(80))
    assert len(told) == 80
    assert one.counts["requests"] + other.counts["requests"] == 80
    assert min(one.counts["requests"], other.counts["requests"]) >= 20
    assert max(one.most_in_flight, other.most_in_flight) <= 4


def test_requests_are_read_only_as_slots_become_free():
    read = []

    def requests():
        for request in asked(100):
            read.append(request)
            yield request

    with FakeServer(latency=0.005) as server:
        running = engine(server, concurrency=4).answer(requests(), Sampling())
        assert not read
        for taken in range(1, 21):
            next(running)
            # While nothing is taken, nothing is read beyond two a slot.
            time.sleep(0.02)
            assert len(read) <= taken + 8
        running.close()
    assert server.most_in_flight <= 4


def test_slots_are_filled_while_the_caller_works_on_a_result():
    with FakeServer() as server:
        running = engine(server, concurrency=4).answer(asked(100), Sampling())
        next(running)
        until(lambda: server.counts["answers"] >= 8)
        running.close()


def test_what_reading_requests_raises_is_raised():
    def requests():
        yield from asked(5)
        raise MixprefError("the shard is damaged; make it again")

    with FakeServer() as server, pytest.raises(MixprefError, match="the shard is damaged"):
        answers(engine(server), requests())


def test_closing_cancels_what_is_in_flight():
    def first_only(request):
        choice = {"message": {"content": "yes"}, "finish_reason": "stop"}
        return Scripted(200, {"choices": [choice]}) if request["messages"][0]["content"] == "q0" else None

    with FakeServer(script=first_only, latency=3600) as server:
        running = engine(server, concurrency=4).answer(asked(100), Sampling())
        assert next(running)[0] == 0
        until(lambda: server.in_flight == 4)
        running.close()
        until(lambda: server.in_flight == 0)
    assert server.counts["aborted"] == 4


def test_an_exception_in_the_caller_s_loop_ends_the_threads():
    def work():
        for _ in engine(server).answer(asked(500), Sampling()):
            raise KeyError

    with FakeServer() as server, pytest.raises(KeyError):
        work()


def test_a_run_that_was_never_begun_has_no_threads():
    with FakeServer() as server:
        engine(server).answer(asked(5), Sampling())
        assert not server.counts


def test_settings_that_cannot_work_are_told():
    for urls, settings, cause in (
        ([], {}, "needs the URL of a server"),
        ("127.0.0.1:8000/v1", {}, "must begin with http"),
        ("http://a/v1", {"concurrency": 0}, "needs concurrency of 1"),
        ("http://a/v1", {"timeout": 0}, "needs concurrency of 1"),
        ("http://a/v1", {"patience": 0}, "needs concurrency of 1"),
    ):
        with pytest.raises(MixprefError, match=cause):
            ServerEngine("m", urls, **settings)
    assert ServerEngine("m", ["http://a/v1/", "http://a/v1"]).urls == ["http://a/v1"]


def test_missing_aiohttp_is_told_with_its_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(MixprefError, match=r"pip install 'mixpref\[server\]'"):
        ServerEngine("m", "http://a/v1")


def test_aiohttp_is_loaded_only_for_servers():
    code = "import sys, mixpref.engines.server; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
