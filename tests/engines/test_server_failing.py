"""The engine of servers: attempts that fail, servers that die, set-ups that cannot work."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter

import pytest
from asking import answers, asked, engine, fails, in_turn, leaves_no_thread, only, quick_and_alone, until  # noqa: F401
from fake_server import FAULTS, FakeServer, Scripted

from mixpref.engines import server as module
from mixpref.engines.request import Sampling
from mixpref.engines.server import DEATHS, ServerEngine
from mixpref.errors import MixprefError


@pytest.mark.parametrize("kind", [kind for kind in FAULTS if kind != "empty"])
def test_an_attempt_that_fails_is_made_again(kind):
    with FakeServer() as sound, FakeServer(faults=0.5, kinds=[kind], seed=3) as server:
        slow = 0.2 if kind == "timeout" else 30
        told = answers(engine(server, timeout=slow, retries=30), asked(6))
        assert told == answers(engine(sound), asked(6))
    assert server.counts[kind] > 0


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("timeout", "gave no whole reply in 0.1 s"),
        ("429", "answers 429: too many requests"),
        ("500", "answers 500: an accident"),
        ("broken", "cannot be understood: its reply is no JSON"),
        ("cut", "broke the connection off"),
        ("reset", "broke the connection off"),
    ],
)
def test_after_the_last_attempt_it_is_a_failed_item_with_the_last_reason(kind, reason):
    with FakeServer(faults=1, kinds=[kind]) as server:
        response = only(engine(server, timeout=0.1 if kind == "timeout" else 30, retries=2))
    assert response.finish == "error"
    assert response.error.startswith(f"3 attempts failed, the last because {server.url} {reason}")
    assert server.counts["requests"] == 3


def test_samples_that_came_before_a_failure_are_kept():
    script = in_turn(None, *[fails(500)] * 9)
    with FakeServer(most=2, script=script) as server:
        (responses,) = answers(engine(server, retries=1), asked(1, samples=4)).values()
    assert [response.finish for response in responses] == ["stop", "stop", "error", "error"]


def test_a_refused_request_is_a_failed_item_at_once_in_the_server_s_words():
    with FakeServer(script=in_turn(fails(400, "the prompt is longer than 4096 tokens"))) as server:
        told = answers(engine(server, concurrency=1), asked(3))
    assert told[0][0].error == f"{server.url} answers 400: the prompt is longer than 4096 tokens"
    assert (told[1][0].finish, told[2][0].finish) == ("stop", "stop")
    assert server.counts["requests"] == 3


def test_retry_after_is_followed_up_to_a_limit(monkeypatch):
    slept = []
    sleep = module.asyncio.sleep

    async def note(seconds):
        slept.append(seconds)
        await sleep(0)

    monkeypatch.setattr(module.asyncio, "sleep", note)
    script = in_turn(fails(429, Retry_After="7"), fails(503, Retry_After="100000"), fails(429, Retry_After="soon"))
    with FakeServer(script=script) as server:
        assert only(engine(server)).finish == "stop"
    assert [seconds for seconds in slept if seconds >= 7] == [7, module.LONGEST_WAIT]


def test_waits_double_and_take_no_slot(monkeypatch):
    monkeypatch.setattr(module, "FIRST_WAIT", 0.2)

    def script(request):
        return fails(429) if request["messages"][0]["content"] == "q0" else None

    with FakeServer(script=script) as server:
        told = list(engine(server, concurrency=1, retries=2).answer(asked(2), Sampling()))
    # The second one overtakes while the first one waits.
    assert [place for place, _ in told] == [1, 0]
    assert told[1][1][0].finish == "error"


def test_under_faults_of_all_kinds_every_request_ends_once_and_answers_are_the_same():
    requests = asked(300, samples=2)
    with FakeServer() as sound, FakeServer(faults=0.2) as server:
        expected = answers(engine(sound), requests)
        told = answers(engine(server, timeout=1.0), requests)
    assert sorted(told) == list(range(300))
    assert all(server.counts[kind] for kind in FAULTS)
    ends = Counter()
    for place, responses in told.items():
        for response, other in zip(responses, expected[place], strict=True):
            kind = "failed" if response.finish == "error" else "same" if response == other else "empty"
            ends[kind] += 1
            assert kind != "empty" or (response.text, response.seed) == ("", other.seed)
    assert ends["empty"] == 2 * server.counts["empty"]
    assert ends["failed"] == 0


def test_a_server_that_dies_in_the_middle_fails_nothing(capsys):
    with FakeServer() as sound:
        expected = answers(engine(sound), asked(60))
    server = FakeServer(latency=0.02)
    told = {}
    with server:
        running = engine(server, concurrency=4, retries=0).answer(asked(60), Sampling())
        for place, responses in itertools.islice(running, 10):
            told[place] = responses
        server.kill()
        threading.Timer(0.3, server.start).start()
        told |= dict(running)
    assert told == expected
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"{server.url} ")
    assert lines[0].endswith("the run waits for a server, for up to 3600 s")
    assert lines[1] == f"{server.url} is back: the run goes on"


def test_a_refused_connection_costs_no_attempt():
    answered = threading.Event()

    def requests():
        first, *others = asked(4)
        yield first
        answered.wait()
        server.kill()
        threading.Timer(0.1, server.start).start()
        yield from others

    with FakeServer() as server:
        running = engine(server, retries=0).answer(requests(), Sampling())
        assert next(running)[1][0].finish == "stop"
        answered.set()
        assert {responses[0].finish for _, responses in running} == {"stop"}


def test_a_server_that_is_still_starting_is_waited_for(capsys):
    with FakeServer() as server:
        pass  # its port is free now
    threading.Timer(0.2, server.start).start()
    assert only(engine(server)).finish == "stop"
    server.kill()
    assert "the run waits for a server" in capsys.readouterr().err


def test_a_server_that_is_still_loading_gets_no_request():
    with FakeServer() as server:
        server.models_status = 503
        loaded = []

        def load():
            until(lambda: server.counts["models"] >= 3)
            loaded.append(server.counts["requests"])
            server.models_status = 200

        thread = threading.Thread(target=load)
        thread.start()
        assert only(engine(server)).finish == "stop"
        thread.join()
    assert loaded == [0]


def test_errors_of_a_server_that_is_gone_cost_no_attempt():
    """A gateway whose server is gone: it answers 502 to requests and looks alike."""
    broken = threading.Event()

    def script(request):
        if not broken.is_set() and request["messages"][0]["content"] == "q3":
            broken.set()
            server.models_status = 502
        return fails(502) if server.models_status != 200 else None

    def mend():
        broken.wait()
        seen = server.counts["models"]
        until(lambda: server.counts["models"] >= seen + 3)
        server.models_status = 200

    with FakeServer(script=script) as server:
        thread = threading.Thread(target=mend)
        thread.start()
        told = answers(engine(server, concurrency=2, retries=0), asked(8))
        thread.join()
    assert {responses[0].finish for responses in told.values()} == {"stop"}


def test_servers_gone_for_good_end_the_run_after_patience():
    server = FakeServer(latency=0.02)
    with server:
        running = engine(server, concurrency=4, patience=0.3).answer(asked(60), Sampling())
        next(running)
        server.kill()
        with pytest.raises(MixprefError, match=r"no server has answered for 0\.3 s .* give the same command again"):
            list(running)


def test_a_request_that_kills_its_servers_fails_in_the_end():
    def script(request):
        if request["messages"][0]["content"] == "q1":
            server.models_status = 503
            threading.Timer(0.03, setattr, (server, "models_status", 200)).start()
            return fails(500, "out of memory")
        return None

    with FakeServer(script=script) as server:
        told = answers(engine(server, concurrency=1, retries=1), asked(3))
        time.sleep(0.05)
    assert "out of memory" in told[1][0].error
    assert (told[0][0].finish, told[2][0].finish) == ("stop", "stop")
    assert server.counts["requests"] == 2 + DEATHS + 2


def test_the_other_server_carries_on(capsys):
    with FakeServer(latency=0.01) as one, FakeServer(latency=0.01) as other:
        running = engine(one, other, concurrency=2, retries=0).answer(asked(40), Sampling())
        told = dict(itertools.islice(running, 8))
        one.kill()
        told |= dict(running)
    assert {responses[0].finish for responses in told.values()} == {"stop"}
    assert len(told) == 40
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(one.url)
    assert line.endswith("the other servers carry on")


def test_an_unknown_model_names_those_that_there_are():
    with FakeServer(model="other") as server:
        server.models.append("third")
        with pytest.raises(MixprefError, match="has no model 'fake'; it has other, third"):
            answers(engine(server), asked(1000))
        assert server.counts["requests"] == 0


def test_a_model_that_is_refused_later_ends_the_run_too():
    with FakeServer(script=in_turn(None, fails(404, "The model `fake` does not exist."))) as server:
        with pytest.raises(MixprefError, match=r"does not exist.*the server has fake"):
            answers(engine(server, concurrency=1), asked(1000))
        assert server.counts["requests"] < 10


def test_a_server_without_a_list_of_models_serves_as_well():
    with FakeServer() as server:
        server.models_status = 404
        assert only(engine(server)).finish == "stop"


def test_a_url_without_its_path_is_told():
    with FakeServer() as server, pytest.raises(MixprefError, match="correct the URL, which mostly ends with /v1"):
        answers(ServerEngine("fake", server.url.removesuffix("/v1")), asked(3))


def test_the_key_of_argument_or_environment_is_sent_and_a_wrong_one_ends_the_run(monkeypatch):
    with FakeServer(api_key="right") as server:
        assert only(engine(server, api_key="right")).finish == "stop"
        monkeypatch.setenv("OPENAI_API_KEY", "right")
        assert only(engine(server)).finish == "stop"
        with pytest.raises(MixprefError, match="answers 401: no such key; set OPENAI_API_KEY"):
            answers(engine(server, api_key="wrong"), asked(1000))


def test_a_key_refused_for_answers_alone_ends_the_run():
    with FakeServer(script=lambda request: fails(403, "not yours")) as server:
        server.models_status = 403
        with pytest.raises(MixprefError, match="answers 403: not yours"):
            answers(engine(server), asked(5))


def test_a_redirect_is_not_followed():
    with FakeServer() as elsewhere, FakeServer() as server:
        there = f"{elsewhere.url}/chat/completions"
        server.script = in_turn(Scripted(307, None, {"Location": there}))
        with pytest.raises(MixprefError, match=f"redirects to {there}; give the URL"):
            answers(engine(server), asked(1))
        assert elsewhere.counts["requests"] == 0
