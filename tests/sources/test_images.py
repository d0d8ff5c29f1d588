"""Image files: decoded in full, and never from outside the folder."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import pytest

from mixpref.sources import images
from mixpref.sources.unusable import Unusable
from sources.conftest import image_bytes


def kind_of(root: Path, name: str) -> str:
    with pytest.raises(Unusable) as raised:
        images.read(root, name)
    assert "\n" not in raised.value.reason
    return raised.value.kind


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_the_bytes_of_the_file_as_they_are(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a").write_bytes(image_bytes(kind=kind))
    assert images.read(tmp_path, "a") == image_bytes(kind=kind)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.6, 0.95])
def test_a_truncated_image_is_broken(tmp_path: Path, kind: str, share: float) -> None:
    whole = image_bytes(kind=kind, size=(200, 150))
    (tmp_path / "a").write_bytes(whole[: int(len(whole) * share)])
    assert kind_of(tmp_path, "a") == "broken image"


@pytest.mark.parametrize("data", [b"not an image", b"\x89PNG\r\n\x1a\n", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"<svg/>"])
def test_what_is_no_image_is_broken(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a").write_bytes(data)
    assert kind_of(tmp_path, "a") == "broken image"


def test_a_small_file_that_unpacks_to_gigabytes_is_not_decoded(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    for side in (8_000, 60_000):
        header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
        (tmp_path / "bomb.png").write_bytes(png)
        assert kind_of(tmp_path, "bomb.png") == "image too large"


def test_an_enormous_file_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "big.png", "wb") as file:
        file.truncate(images.MAX_BYTES + 1)
    assert kind_of(tmp_path, "big.png") == "image too large"


def test_what_is_not_there_is_missing(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("none.png", "folder", "pipe", "", "https://example.org/a.png", "data:image/png;base64,AAAA"):
        assert kind_of(tmp_path, name) == "missing image"


@pytest.mark.parametrize("name", ["../secret.png", "a/../../secret.png", "/etc/passwd", "..", "a\0b"])
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (tmp_path / "secret.png").write_bytes(image_bytes())
    assert kind_of(root, name) == "image outside the folder"


def test_folders_and_links_within_the_folder_are_fine(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (tmp_path / "store.png").write_bytes(image_bytes())
    (root / "a" / "link.png").symlink_to(tmp_path / "store.png")
    for name in ("a/link.png", "./a/link.png", "a/../a/link.png"):
        assert images.read(root, name) == image_bytes()
