"""Image files: decoded in full, and never from outside the folder."""

from __future__ import annotations

import io
import os
import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mixpref.sources import images
from mixpref.sources.unusable import Unusable
from sources.conftest import image_bytes


def kind_of(root: Path, name: str) -> str:
    with pytest.raises(Unusable) as raised:
        images.read(root, name)
    assert "\n" not in raised.value.reason
    return raised.value.kind


def saved(picture: Image.Image, kind: str, **more: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **more)
    return stream.getvalue()


def png(width: int, height: int, pixels: bytes = b"", *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG whose header claims a size, whatever its pixels are."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), *chunks, (b"IDAT", zlib.compress(pixels)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_the_bytes_of_the_file_as_they_are(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a").write_bytes(image_bytes(kind=kind))
    assert images.read(tmp_path, "a") == image_bytes(kind=kind)
    images.look(images.locate(tmp_path, "a"))


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
    for side in (8_000, 60_000):
        (tmp_path / "bomb.png").write_bytes(png(side, side))
        assert kind_of(tmp_path, "bomb.png") == "image too large"


def test_a_bomb_costs_no_memory(tmp_path: Path) -> None:
    # 192 MB of zeros, well formed and decodable.
    (tmp_path / "bomb.png").write_bytes(png(8_000, 8_000, bytes(8_000 * (1 + 3 * 8_000))))
    assert (tmp_path / "bomb.png").stat().st_size < 300_000
    tracemalloc.start()
    assert kind_of(tmp_path, "bomb.png") == "image too large"
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()


def test_a_frame_larger_than_the_screen_is_measured(tmp_path: Path) -> None:
    gif = bytearray(saved(Image.new("P", (40, 30)), "GIF"))
    frame = gif.index(b",\0\0\0\0" + struct.pack("<HH", 40, 30))
    gif[frame + 5 : frame + 9] = struct.pack("<HH", 60_000, 60_000)
    (tmp_path / "bomb.gif").write_bytes(gif)
    assert kind_of(tmp_path, "bomb.gif") == "image too large"


def test_later_frames_do_not_pass_the_limit_either(tmp_path: Path) -> None:
    red, blue = Image.new("RGB", (40, 30), "red"), Image.new("RGB", (40, 30), "blue")
    gif = bytearray(saved(red, "GIF", save_all=True, append_images=[blue]))
    assert gif.count(struct.pack("<HH", 40, 30)) == 3
    frame = gif.rindex(b",\0\0\0\0" + struct.pack("<HH", 40, 30))
    gif[frame + 5 : frame + 9] = struct.pack("<HH", 60_000, 60_000)
    (tmp_path / "bomb.gif").write_bytes(gif)
    assert kind_of(tmp_path, "bomb.gif") in ("several pictures", "image too large")


def test_exif_does_not_change_what_is_measured(tmp_path: Path) -> None:
    exif = Image.Exif()
    # Orientation, width and height as a camera would claim them.
    exif[0x0112], exif[0xA002], exif[0xA003] = 6, 10, 10
    large = saved(Image.new("L", (8_000, 7_000)), "JPEG", exif=exif, quality=10)
    (tmp_path / "a.jpg").write_bytes(large)
    assert kind_of(tmp_path, "a.jpg") == "image too large"
    (tmp_path / "a.jpg").write_bytes(saved(Image.new("L", (40, 30)), "JPEG", exif=exif))
    images.read(tmp_path, "a.jpg")


def test_text_that_unpacks_to_gigabytes_is_refused(tmp_path: Path) -> None:
    text = b"Comment\0\0" + zlib.compress(bytes(100_000_000))
    (tmp_path / "a.png").write_bytes(png(2, 2, bytes(14), (b"zTXt", text)))
    assert kind_of(tmp_path, "a.png") == "broken image"


@pytest.mark.parametrize(
    ("size", "kind"),
    [
        ((1, 1), "image too small"),
        ((1, 50), "image too small"),
        ((50, 1), "image too small"),
        ((402, 2), "image too long"),
        ((2, 402), "image too long"),
        ((400, 2), None),
        ((2, 400), None),
        ((2, 2), None),
    ],
)
def test_shapes(tmp_path: Path, size: tuple[int, int], kind: str | None) -> None:
    (tmp_path / "a.png").write_bytes(image_bytes(size=size))
    if kind is None:
        images.read(tmp_path, "a.png")
    else:
        assert kind_of(tmp_path, "a.png") == kind


def test_an_image_of_no_pixels_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(0, 5))
    assert kind_of(tmp_path, "a.png") in ("broken image", "image too small")


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_animations_and_pages_are_refused(tmp_path: Path, kind: str) -> None:
    pictures = [Image.new("RGB", (40, 30), colour) for colour in ("red", "green", "blue")]
    data = saved(pictures[0], kind, save_all=True, append_images=pictures[1:])
    (tmp_path / "a").write_bytes(data)
    assert kind_of(tmp_path, "a") == "several pictures"
    with pytest.raises(Unusable, match="several pages"):
        images.look(tmp_path / "a")
    (tmp_path / "a").write_bytes(saved(pictures[0], kind, save_all=True))
    images.read(tmp_path, "a")


def test_a_photograph_with_a_preview_is_a_photograph(tmp_path: Path) -> None:
    large, small = Image.new("RGB", (40, 30)), Image.new("RGB", (20, 15))
    (tmp_path / "a.jpg").write_bytes(saved(large, "MPO", save_all=True, append_images=[small]))
    assert Image.open(tmp_path / "a.jpg").format == "MPO"
    images.read(tmp_path, "a.jpg")


@pytest.mark.parametrize("mode", ["I;16", "I", "F", "LAB"])
def test_pixels_that_would_be_clipped_are_refused(tmp_path: Path, mode: str) -> None:
    (tmp_path / "a").write_bytes(saved(Image.new(mode, (40, 30)), "TIFF"))
    assert kind_of(tmp_path, "a") == "unsupported mode"


def test_a_png_of_16_bits_of_grey_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(saved(Image.new("I;16", (40, 30), 40_000), "PNG"))
    assert kind_of(tmp_path, "a.png") == "unsupported mode"


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("1", "PNG"), ("L", "PNG"), ("LA", "PNG"), ("P", "PNG"), ("RGBA", "PNG"), ("CMYK", "JPEG"), ("YCbCr", "TIFF")],
)
def test_pixels_that_become_rgb_are_kept(tmp_path: Path, mode: str, kind: str) -> None:
    data = saved(Image.new(mode, (40, 30)), kind)
    (tmp_path / "a").write_bytes(data)
    assert images.read(tmp_path, "a") == data


def test_an_enormous_file_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "big.png", "wb") as file:
        file.truncate(images.MAX_BYTES + 1)
    assert kind_of(tmp_path, "big.png") == "image too large"


def test_what_is_not_there_is_missing(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in (
        "none.png",
        "folder",
        "pipe",
        "",
        "https://example.org/a.png",
        "data:image/png;base64,AAAA",
        "a" * 5000,
    ):
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


def test_the_parent_of_a_link_is_the_folder_that_it_lies_in(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere" / "pictures"
    root.mkdir()
    elsewhere.mkdir(parents=True)
    (root / "link").symlink_to(elsewhere)
    (tmp_path / "elsewhere" / "secret.png").write_bytes(image_bytes())
    # For the system this is elsewhere/secret.png.
    assert (root / "link" / ".." / "secret.png").exists()
    assert kind_of(root, "link/../secret.png") == "missing image"
