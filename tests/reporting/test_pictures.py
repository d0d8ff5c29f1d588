"""Pictures on the page: shown as they are where possible, made smaller where not, never trusted."""

from __future__ import annotations

import base64
import io

import pytest
from PIL import Image

from mixpref.reporting.pictures import LARGEST, Album, data_uri


def file(mode: str, size: tuple[int, int], form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.effect_noise(size, 90).convert(mode).save(stream, form, **options)
    return stream.getvalue()


def opened(uri: str | None) -> Image.Image:
    assert uri is not None
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


@pytest.mark.parametrize(("form", "mime"), [("PNG", "png"), ("JPEG", "jpeg"), ("WEBP", "webp"), ("GIF", "gif")])
def test_a_small_file_is_embedded_as_it_is(form: str, mime: str) -> None:
    data = file("L", (40, 30), form)
    assert data_uri(data) == f"data:image/{mime};base64,{base64.b64encode(data).decode()}"


@pytest.mark.parametrize(("mode", "form"), [("RGB", "PNG"), ("CMYK", "JPEG"), ("P", "PNG"), ("I;16", "PNG")])
def test_a_large_picture_is_made_smaller_and_keeps_its_shape(mode: str, form: str) -> None:
    small = opened(data_uri(file(mode, (1600, 800), form)))
    assert (small.format, small.size) == ("WEBP", (LARGEST, LARGEST // 2))


def test_a_format_that_browsers_lack_is_coded_anew() -> None:
    assert opened(data_uri(file("RGB", (20, 20), "TIFF"))).format == "WEBP"


def test_a_large_photograph_stands_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # Orientation: turn by 90 degrees.
    assert opened(data_uri(file("RGB", (1600, 800), "JPEG", exif=exif))).size == (LARGEST // 2, LARGEST)


@pytest.mark.parametrize("data", [b"", b"<svg onload='alert(1)'></svg>", file("RGB", (99, 99), "JPEG")[:700]])
def test_what_cannot_be_decoded_is_not_embedded(data: bytes) -> None:
    assert data_uri(data) is None


def test_an_album_holds_each_picture_once() -> None:
    one, other = (file("L", (40, size), "PNG") for size in (30, 31))
    album = Album()
    first = album.keys([one, b"no picture", other])
    assert first[1] is None
    assert album.keys([other, one]) == [first[2], first[0]]
    assert album.pictures == {first[0]: data_uri(one), first[2]: data_uri(other)}


def test_a_thumbnail_is_small() -> None:
    uri = data_uri(file("RGB", (2000, 2000), "JPEG"))
    assert uri is not None
    assert len(uri) < 100_000
