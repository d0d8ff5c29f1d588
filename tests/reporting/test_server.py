"""`mixpref view` over real HTTP: what it answers, what it refuses, and that it follows the run."""

from __future__ import annotations

import http.client
import io
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mixpref.errors import MixprefError
from mixpref.recipe import Recipe
from mixpref.reporting import server as serving
from mixpref.reporting.server import _Server, server, view
from mixpref.rundir import Run
from tests.reporting.client import Client, running
from tests.reporting.conftest import make_pair, make_problem, write_run


@pytest.fixture
def serve() -> Iterator[Callable[[Run], Client]]:
    """Serves runs until the end of the test."""
    with ExitStack() as stack:
        yield lambda run: stack.enter_context(running(run))


@pytest.fixture(scope="module")
def shared_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that nobody changes."""
    return write_run(Run.open(tmp_path_factory.mktemp("shared") / "run", Recipe(name="small", seed=3)))


@pytest.fixture(scope="module")
def client(shared_run: Run) -> Iterator[Client]:
    with running(shared_run) as client:
        yield client


def test_the_page_is_served_and_asks_for_its_cases(client: Client) -> None:
    status, headers, body = client.ask("/")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    page = body.decode()
    assert page.startswith("<!doctype html>")
    assert '<meta name="mixpref-api" content="/api">' in page
    # The cases themselves are not in it.
    assert "Final answer: 99" not in page
    rules = headers["content-security-policy"]
    assert "default-src 'none'" in rules
    assert "frame-ancestors 'none'" in rules
    assert "connect-src 'self'" in rules
    assert "unsafe-inline" not in rules.partition("script-src")[2].partition(";")[0]


def test_pairs_are_counted_filtered_and_turned_over(client: Client) -> None:
    facets = client.json("/api/facets")
    assert facets["pairs"]["kind"] == {"correctness": 24, "format": 4}
    assert facets["pairs"]["total"] == 28
    first = client.json("/api/pairs")
    assert (first["total"], first["page_size"], len(first["cases"])) == (28, 20, 20)
    second = client.json("/api/pairs", page=1)
    assert (second["total"], len(second["cases"])) == (28, 8)
    assert client.json("/api/pairs", page=7) == {"total": 28, "page_size": 20, "cases": []}
    some = client.json("/api/pairs", kind="format", family="table")
    assert some["total"] == 2
    assert {(case["kind"], case["family"]) for case in some["cases"]} == {("format", "table")}
    assert client.json("/api/pairs", kind="", family="", gap_min="", text="", page="") == first
    assert client.json("/api/pairs", kind="no such kind")["total"] == 0
    assert client.json("/api/pairs", gap_min=-0.5, gap_max=0.5)["total"] == 28
    assert client.json("/api/pairs", gap_min=0.1)["total"] == 0


def test_items_are_filtered(client: Client) -> None:
    facets = client.json("/api/facets")["items"]
    assert facets["kind"]["fixed"] == 5
    for name, counts in facets.items():
        for value, count in counts.items() if name != "total" else ():
            assert client.json("/api/items", **{name: value})["total"] == count
    found = client.json("/api/items", kind="broken", style="cot", benchmark="world")
    assert [side["label"] for side in found["cases"][0]["sides"]] == ["before (base)", "after (mpo)"]


def test_texts_are_found_whatever_stands_in_them(serve: Callable[[Run], Client], tmp_path: Path) -> None:
    run = Run.open(tmp_path / "odd", Recipe(name="odd"))
    said = ["100% and 100", "a_b and axb", 'it\'s "so"', "C:\\new", "图中有四根", "ÄPFEL", "a+b&c=d#e", "<b>", "?"]
    problems = [replace(make_problem(number), question="Which") for number in range(len(said))]
    run.problems("train").append("00000", problems)
    run.pairs.append("00000", [make_pair(each, one, "no") for each, one in zip(problems, said, strict=True)])
    client = serve(run)
    for text in ("100%", "a_b", "it's", '"so"', "C:\\new", "中有四", "äPFEL", "a+b&c=d#e", "<b>", "?"):
        found = client.json("/api/pairs", text=f" {text} ")
        (case,) = found["cases"]
        assert found["total"] == 1
        assert text.lower() in case["sides"][0]["parts"][0][1].lower()


def test_pictures_are_the_files_own_bytes(client: Client, shared_run: Run) -> None:
    case = client.json("/api/pairs")["cases"][0]
    problem = shared_run.problems("train").read()[0]
    status, headers, body = client.ask(case["pictures"][0])
    assert (status, headers["content-type"], body) == (200, "image/png", problem.images[0])
    assert headers["cache-control"] == "private, max-age=3600"
    assert "sandbox" in headers["content-security-policy"]
    status, again, body = client.ask(case["pictures"][0], If_None_Match=headers["etag"])
    assert (status, body, again["etag"]) == (304, b"", headers["etag"])
    held_out = client.json("/api/items")["cases"][0]["pictures"][0]
    assert held_out.startswith("/pictures/held_out/")
    assert client.ask(held_out)[0] == 200


def test_pictures_that_browsers_do_not_draw_are_converted_and_broken_ones_are_told(
    serve: Callable[[Run], Client], tmp_path: Path
) -> None:
    run = Run.open(tmp_path / "run", Recipe(name="x"))
    stream = io.BytesIO()
    Image.new("CMYK", (6, 4)).save(stream, "TIFF")
    # What Pillow does not know as a picture is never served, and what breaks off in its middle is told.
    torn = stream.getvalue()[:-20]
    asked = make_problem(0, images=(stream.getvalue(), b"<!doctype html><script>alert(1)</script>", torn))
    # An id may be the data set's own.
    odd = replace(make_problem(1), id="set/7 ?#%2e../ü")
    run.problems("train").append("00000", [asked, odd])
    run.pairs.append("00000", [make_pair(asked, "yes", "no"), make_pair(odd, "yes", "no")])
    client = serve(run)
    one, other = client.json("/api/pairs")["cases"]
    assert one["pictures"][1] is None
    _, headers, body = client.ask(one["pictures"][0])
    assert headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(body)) as drawn:
        assert (drawn.format, drawn.size) == ("PNG", (6, 4))
    for number in (1, 2):
        assert client.refusal(f"/pictures/train/{asked.id}/{number}")[0] == 404
    assert client.ask(other["pictures"][0])[2] == odd.images[0]


@pytest.mark.parametrize(
    "path",
    [
        "/pictures/train/../../recipe.yaml",
        "/pictures/../../recipe.yaml/0",
        "/pictures/%2e%2e/%2e%2e%2frecipe.yaml/0",
        "/pictures/train/%2e%2e%2f%2e%2e%2frecipe.yaml/0",
        "/pictures/train/nobody/0",
        "/pictures/nowhere/nobody/0",
        "/pictures/train/nobody/-1",
        "/pictures/train/nobody/00000000000000000000",
        "/recipe.yaml",
        "/report.html",
        "/../recipe.yaml",
        "//evil.example/",
        "http://127.0.0.1/",
        "/api",
        "/api/pairs/",
        "/api/../api/pairs",
    ],
)
def test_nothing_else_can_be_had(client: Client, path: str) -> None:
    assert client.refusal(path)[0] == 404


def test_a_picture_beyond_the_last_is_none(client: Client, shared_run: Run) -> None:
    problem = shared_run.problems("train").read()[3]
    assert client.ask(f"/pictures/train/{problem.id}/0")[0] == 200
    assert client.refusal(f"/pictures/train/{problem.id}/1")[0] == 404
    # Every problem belongs to its own set.
    assert client.refusal(f"/pictures/held_out/{problem.id}/0")[0] == 404


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("page=-1", "page: '-1' is no whole number"),
        ("page=1.5", "page: '1.5'"),
        ("page=9999999999", "page"),
        ("page=%D9%A3", "page"),
        ("gap_min=far", "gap_min: 'far' is no number; a gap is a share"),
        ("gap_max=nan", "gap_max"),
        ("gap_max=inf", "gap_max"),
        ("colour=red", "there is no parameter 'colour'; there are kind, family, outcome"),
        ("benchmark=world", "there is no parameter 'benchmark'"),
        ("kind=format&kind=vote", "kind is given twice"),
        ("text=%FF", "cannot be read"),
        (f"text={'x' * 1001}", "text: at most 1000"),
        ("&".join(f"a{n}=1" for n in range(60)), "cannot be read"),
    ],
)
def test_bad_parameters_are_told(client: Client, query: str, reason: str) -> None:
    status, said = client.refusal(f"/api/pairs?{query}")
    assert status == 400
    assert reason in said


@pytest.mark.parametrize("gap", ["1e308", "-1e308", "0.00001"])
def test_bounds_may_be_anywhere(client: Client, gap: str) -> None:
    assert client.json("/api/pairs", gap_min=gap)["total"] == (28 if gap.startswith("-") else 0)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LocalHost:{port}", "127.0.0.1:{port}", "localhost:9999"])
def test_this_machine_may_ask(client: Client, host: str) -> None:
    assert client.ask("/api/facets", Host=host.format(port=client.port))[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "127.0.0.1.evil.example",
        "localhost.evil.example:{port}",
        "evil.example#localhost",
        "localhost@evil.example",
        "127.0.0.2",
        "0.0.0.0:{port}",
        "",
        "localhost:",
    ],
)
@pytest.mark.parametrize("path", ["/", "/api/facets"])
def test_other_hosts_are_refused(client: Client, host: str, path: str) -> None:
    status, said = client.refusal(path, Host=host.format(port=client.port))
    assert status == 403
    assert "127.0.0.1 or localhost" in said


def test_a_request_without_a_host_is_refused(client: Client) -> None:
    with socket.create_connection(("127.0.0.1", client.port), timeout=30) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b" 403 " in connection.makefile("rb").readline()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_there_is_nothing_but_reading(client: Client, method: str) -> None:
    status, headers, _ = client.ask("/api/pairs", method)
    assert (status, headers["allow"], headers["connection"]) == (405, "GET, HEAD", "close")
    assert "access-control-allow-origin" not in headers


def test_an_unknown_method_and_a_malformed_request_are_refused(client: Client) -> None:
    assert client.refusal("/", "BREW")[0] == 501
    with socket.create_connection(("127.0.0.1", client.port), timeout=30) as connection:
        connection.sendall(b"GET / HTTP/banana\r\n\r\n")
        assert b"Bad request version" in connection.makefile("rb").read()
    assert client.ask("/")[0] == 200


def test_head_is_get_without_the_body(client: Client) -> None:
    picture = client.json("/api/pairs")["cases"][0]["pictures"][0]
    for path in ("/", "/api/pairs", picture, "/nothing"):
        (status, headers, body), (got, found, whole) = client.ask(path, "HEAD"), client.ask(path)
        assert (status, body) == (got, b"")
        assert headers["content-length"] == found["content-length"] == str(len(whole))


def test_what_changes_is_not_kept_and_nothing_may_be_embedded_elsewhere(client: Client) -> None:
    for path in ("/", "/api/facets", "/api/pairs", "/nothing"):
        _, headers, _ = client.ask(path)
        assert headers["cache-control"] == "no-store"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["x-content-type-options"] == "nosniff"
        assert "content-security-policy" in headers


def test_one_connection_serves_several_requests(client: Client) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=30)
    for path in ("/api/facets", "/nothing", "/api/pairs"):
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.read()
        assert answer.status == (404 if path == "/nothing" else 200)
    connection.close()


def test_only_this_machine_can_connect(made_run: Run) -> None:
    with server(made_run, 0) as made:
        assert made.server_address[0] == "127.0.0.1"


def test_a_run_that_goes_on_is_followed_without_touching_it(serve: Callable[[Run], Client], tmp_path: Path) -> None:
    working = Run.open(tmp_path / "run", Recipe(name="going-on"))
    # Another process holds the lock; a reader does without.
    looking = Run.open(tmp_path / "run", Recipe(name="going-on"), exclusive=False)
    client = serve(looking)
    facets = client.json("/api/facets")
    assert (facets["pairs"]["total"], facets["items"]["total"]) == (0, 0)
    assert client.json("/api/pairs") == {"total": 0, "page_size": 20, "cases": []}
    page = client.ask("/")[2]
    assert b"Not evaluated yet" in page
    write_run(working)
    before = {file: file.stat().st_mtime_ns for file in working.path.rglob("*")}
    assert client.json("/api/facets")["pairs"]["total"] == 28
    assert client.json("/api/items", kind="fixed")["total"] == 5
    assert b"Not evaluated yet" not in client.ask("/")[2]
    assert {file: file.stat().st_mtime_ns for file in working.path.rglob("*")} == before


def test_an_artifact_that_cannot_be_read_is_told_and_the_rest_goes_on(
    serve: Callable[[Run], Client], made_run: Run
) -> None:
    client = serve(made_run)
    (made_run.pairs.path / "part-00001.parquet").write_bytes(b"no parquet")
    status, said = client.refusal("/api/pairs")
    assert status == 503
    assert "part-00001.parquet cannot be read" in said
    assert client.json("/api/items")["total"] == 20
    (made_run.pairs.path / "part-00001.parquet").unlink()
    assert client.json("/api/pairs")["total"] == 28


def test_a_mistake_of_the_servers_own_ends_no_more_than_the_request(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(query: str, name: str) -> Any:
        raise RuntimeError("oh")

    monkeypatch.setattr(serving, "_read_query", fail)
    assert client.refusal("/api/pairs?text=%1b[2J") == (500, "this should not happen: RuntimeError('oh')")
    assert client.ask("/api/facets")[0] == 200


def test_several_may_ask_at_once(client: Client) -> None:
    found: list[Any] = []

    def ask(page: int) -> None:
        found.append((page, client.json("/api/pairs", page=page, text="final")))

    threads = [threading.Thread(target=ask, args=(page % 2,)) for page in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for page in (0, 1):
        same = [answer for number, answer in found if number == page]
        assert len(same) == 4
        assert all(answer == same[0] for answer in same)


def test_view_prints_its_address_and_ends_by_ctrl_c(made_run: Run) -> None:
    start = "import sys; from mixpref.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", start, "view", str(made_run.path), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            address = process.stdout.readline()
            assert re.fullmatch(r"http://127\.0\.0\.1:[1-9][0-9]+/\n", address)
            # A browser keeps its connection open.
            connection = http.client.HTTPConnection(address[len("http://") : -2], timeout=30)
            connection.request("GET", "/api/facets")
            assert connection.getresponse().read()
            process.send_signal(signal.SIGINT)
            said, complained = process.communicate(timeout=30)
        finally:
            process.kill()
    assert (process.returncode, said) == (0, "")
    assert "view: ended" in complained
    assert "Traceback" not in complained


@pytest.mark.parametrize("wanted", [True, False])
def test_the_browser_is_opened_only_if_wanted(
    made_run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], wanted: bool
) -> None:
    opened: list[str] = []
    serves, ends = threading.Event(), threading.Event()

    def interrupted(self: Any) -> None:
        serves.set()
        assert not wanted or ends.wait(30)
        raise KeyboardInterrupt

    def read_in_the_terminal(address: str) -> None:
        # Such a browser ends only when it has been served.
        assert serves.wait(30)
        opened.append(address)
        ends.set()

    monkeypatch.setattr(serving._Server, "serve_forever", interrupted)
    monkeypatch.setattr(serving.webbrowser, "open", read_in_the_terminal)
    view(made_run, port=0, open_browser=wanted)
    assert opened == [capsys.readouterr().out.strip()] * wanted


def test_a_port_that_cannot_be_had_is_told(made_run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            MixprefError, match=rf"port {port} of 127\.0\.0\.1 is taken; give another --port, or --port 0"
        ):
            view(made_run, port=port)
    with pytest.raises(MixprefError, match=r"port 70000 .* cannot be had"):
        view(made_run, port=70000)


def test_a_run_that_cannot_be_read_gives_its_port_back(made_run: Run) -> None:
    (made_run.scores_dir / "mpo.json").write_text("no scores")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    with pytest.raises(MixprefError, match=r"mpo\.json is not a list of scores"):
        view(made_run, port=port)
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_a_reader_that_hangs_up_is_nothing_to_tell_of(
    made_run: Run, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()
    told = _Server.handle_error

    def handle_error(*failed: Any) -> None:
        told(*failed)
        ended.set()

    monkeypatch.setattr(_Server, "handle_error", handle_error)
    with running(made_run) as client, socket.create_connection(("127.0.0.1", client.port)) as connection:
        connection.sendall(f"GET /api/facets HTTP/1.1\r\nHost: 127.0.0.1:{client.port}\r\n\r\n".encode())
        connection.recv(1)
        # The connection is torn down while the server waits for the next request on it.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        assert ended.wait(20)
    assert "Traceback" not in capfd.readouterr().err
