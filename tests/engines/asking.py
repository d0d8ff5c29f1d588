"""Asking the engine of servers, and servers that answer as a test scripts them."""

from __future__ import annotations

import threading
import time

import pytest
from fake_server import Scripted

from mixpref.engines import endpoints
from mixpref.engines import server as module
from mixpref.engines.request import Request, Sampling
from mixpref.engines.server import ServerEngine
from mixpref.records import Problem


@pytest.fixture(autouse=True)
def quick_and_alone(monkeypatch):
    for name in ("OPENAI_API_KEY", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr(module, "FIRST_WAIT", 0.005)
    monkeypatch.setattr(endpoints, "FIRST_LOOK", 0.01)
    monkeypatch.setattr(endpoints, "LAST_LOOK", 0.05)


@pytest.fixture(autouse=True)
def leaves_no_thread():
    yield
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("mixpref")]


def asked(number, **settings):
    return [
        Request(problem=Problem(question=f"q{place}", answer="1"), style="plain", **settings) for place in range(number)
    ]


def engine(*servers, **settings):
    return ServerEngine("fake", [server.url for server in servers], **settings)


def answers(engine, requests, sampling=None):
    """The responses by place, each of which must come once."""
    told = list(engine.answer(requests, sampling or Sampling()))
    assert len({place for place, _ in told}) == len(told)
    return dict(told)


def only(engine, request=None, sampling=None):
    """The one response to one request."""
    ((response,),) = answers(engine, [request or asked(1)[0]], sampling).values()
    return response


def until(true):
    while not true():
        time.sleep(0.002)


def fails(status, message="no", **headers):
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Scripted(status, {"error": {"message": message}}, names)


def in_turn(*replies):
    """A script of these replies, then the usual ones."""
    left = iter(replies)
    return lambda request: next(left, None)
