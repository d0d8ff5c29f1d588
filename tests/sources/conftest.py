"""Small image files and JSON-lines files, good and bad."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
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
