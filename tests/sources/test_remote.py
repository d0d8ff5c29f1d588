"""Files on the web: in time, of a size that is allowed, and by http alone."""

from __future__ import annotations

import pytest

from mixpref.sources import remote
from mixpref.sources.unusable import Unusable
from sources.conftest import image_bytes


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("gone.png", "missing image"),
        ("torn.png", "missing image"),
        ("file.png", "missing image"),
        ("a b.png", "missing image"),
        ("é.png", "missing image"),
        ("endless.png", "image too large"),
    ],
)
def test_what_cannot_be_had(server: str, name: str, kind: str) -> None:
    with pytest.raises(Unusable) as raised:
        remote.fetch(f"{server}/{name}")
    assert raised.value.kind == kind
    assert "\n" not in raised.value.reason


def test_the_bytes_of_the_file(server: str) -> None:
    assert remote.fetch(f"{server}/good.png") == remote.fetch(f"{server}/moved.png") == image_bytes(5)


@pytest.mark.parametrize(
    ("name", "web"),
    [("http://a/b", True), ("HTTPS://a/b", True), ("ftp://a/b", False), ("file:///a", False), ("a/http.png", False)],
)
def test_what_is_a_url(name: str, web: bool) -> None:
    assert remote.is_url(name) is web


def test_a_server_that_never_ends_is_left(server: str) -> None:
    with pytest.raises(Unusable, match=r"more than 0\.01 s|timed out"):
        remote.fetch(f"{server}/endless.png", seconds=0.01)
    with pytest.raises(Unusable, match="cannot be fetched"):
        remote.fetch("http://127.0.0.1:1/a.png")
