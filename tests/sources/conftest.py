"""Small image files, JSON-lines files and MMPR data sets, good and bad, and a server of images."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image


def image_bytes(shade: int = 0, kind: str = "PNG", size: tuple[int, int] = (40, 30)) -> bytes:
    stream = io.BytesIO()
    picture = Image.new("RGB", size)
    picture.putdata([((shade * 37 + 5 * i) % 256, (i * i) % 256, shade % 256) for i in range(size[0] * size[1])])
    picture.save(stream, kind)
    return stream.getvalue()


@pytest.fixture
def write_rows(tmp_path: Path) -> Callable[..., Path]:
    """Writes rows (objects, or bytes as they are) as `data/rows.jsonl`, beside images 0.png to 9.png."""

    def write(*rows: Any, name: str = "rows.jsonl") -> Path:
        folder = tmp_path / "data"
        folder.mkdir(exist_ok=True)
        for shade in range(10):
            (folder / f"{shade}.png").write_bytes(image_bytes(shade))
        lines = (row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows)
        (folder / name).write_bytes(b"".join(line + b"\n" for line in lines))
        return folder / name

    return write


def mmpr_row(number: int, **more: Any) -> dict[str, Any]:
    made = {
        "image": f"{number % 10}.png",
        "question": f"What is {number} + 1?",
        "chosen": f"It is {number + 1}.",
        "rejected": "I do not know.",
        "answer_gt": str(number + 1),
    }
    return {key: value for key, value in {**made, **more}.items() if value is not ...}


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """Writes data sets (name=rows, or name=(rows, settings)) and their meta.json, beside images 0.png to 9.png."""

    def write(**sets: Any) -> Path:
        folder = tmp_path / "mmpr"
        (folder / "images").mkdir(parents=True, exist_ok=True)
        for shade in range(10):
            (folder / "images" / f"{shade}.png").write_bytes(image_bytes(shade))
        meta = {}
        for name, given in sets.items():
            rows, settings = given if isinstance(given, tuple) else (given, {})
            lines = (each if isinstance(each, bytes) else json.dumps(each).encode() for each in rows)
            (folder / f"{name}.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
            entry = {"root": "images", "annotation": f"{name}.jsonl", "data_augment": False, "repeat_time": 1}
            meta[name] = {**entry, "length": len(rows), **settings}
        (folder / "meta.json").write_text(json.dumps(meta))
        return folder / "meta.json"

    return write


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        data = image_bytes(5)
        if self.path == "/gone.png":
            self.send_error(404)
        elif self.path == "/file.png":
            self.send_response(302)
            self.send_header("Location", "file:///etc/hostname")
            self.end_headers()
        elif self.path == "/moved.png":
            self.send_response(302)
            self.send_header("Location", "/good.png")
            self.end_headers()
        else:
            self.send_response(200)
            length = len(data) + 10 if self.path == "/torn.png" else len(data)
            if self.path != "/endless.png":
                self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(b"no picture" + data[10:] if self.path == "/bad.png" else data)
            while self.path == "/endless.png":
                try:
                    self.wfile.write(bytes(2**16))
                except OSError:
                    return

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{made.server_port}"
    made.shutdown()
    made.server_close()
