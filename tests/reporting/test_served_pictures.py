"""Pictures as a server hands them out: the file's own bytes where browsers draw them, and never anything else."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import pytest
from PIL import Image

from mixpref.reporting.served_pictures import addresses, drawable, readable
from tests.reporting.conftest import make_problem

PAGE = b"<!doctype html><script>alert(1)</script>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def drawn(kind: str, mode: str = "RGB", **more: Any) -> bytes:
    stream = io.BytesIO()
    Image.new(mode, (6, 4)).save(stream, kind, **more)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_what_browsers_draw_is_served_as_it_is(kind: str) -> None:
    image = drawn(kind)
    assert drawable(image) == (f"image/{kind.lower()}", image)


def test_a_jpeg_with_several_pictures_is_a_jpeg() -> None:
    several = drawn("MPO", save_all=True, append_images=[Image.new("RGB", (6, 4), "red")])
    assert drawable(several) == ("image/jpeg", several)


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("BMP", "RGB"), ("PPM", "L"), *(("TIFF", mode) for mode in ("1", "L", "P", "RGBA", "CMYK", "F", "I;16", "LAB"))],
)
def test_other_formats_become_png(kind: str, mode: str) -> None:
    mime, image = drawable(drawn(kind, mode)) or ("", b"")
    assert mime == "image/png"
    with Image.open(io.BytesIO(image)) as opened:
        opened.load()
        assert (opened.format, opened.size) == ("PNG", (6, 4))
        assert opened.has_transparency_data == (mode == "RGBA")


def test_what_is_converted_keeps_its_colours_and_is_turned_upright() -> None:
    stream = io.BytesIO()
    turned = Image.Exif()
    # To be turned by 90 degrees to the right.
    turned[0x0112] = 6
    picture = Image.new("RGB", (6, 4), "blue")
    picture.putpixel((0, 0), (255, 0, 0))
    picture.save(stream, "TIFF", exif=turned)
    _, image = drawable(stream.getvalue()) or ("", b"")
    with Image.open(io.BytesIO(image)) as opened:
        assert opened.size == (4, 6)
        assert opened.getpixel((3, 0)) == (255, 0, 0)
        assert opened.getpixel((0, 0)) == (0, 0, 255)
        assert 0x0112 not in opened.getexif()


@pytest.mark.parametrize("image", [b"", b"no picture", PAGE, SVG, drawn("BMP")[:60]], ids=repr)
def test_what_is_no_picture_is_never_served(image: bytes) -> None:
    assert drawable(image) is None


def test_an_address_is_there_for_each_picture_that_is_one() -> None:
    problem = make_problem(0, images=(drawn("PNG"), PAGE, drawn("BMP"), b""))
    start = f"/pictures/train/{problem.id}"
    assert addresses("train", problem) == [f"{start}/0", None, f"{start}/2", None]
    assert addresses("train", None) == addresses("train", make_problem(0, images=())) == []
    assert readable(SVG) is False


def test_any_id_and_set_is_one_part_of_an_address() -> None:
    (address,) = addresses("-a b", replace(make_problem(0), id="set/7 ?#%2e../ü"))
    assert address is not None
    assert [unquote(part) for part in address.split("/")] == ["", "pictures", "-a b", "set/7 ?#%2e../ü", "0"]
