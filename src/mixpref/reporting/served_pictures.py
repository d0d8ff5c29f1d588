"""A problem's pictures in full, as a server hands them out: the file's own bytes wherever a browser draws them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING
from urllib.parse import quote

from mixpref.records import Problem

if TYPE_CHECKING:
    from PIL.Image import Image

# MPO is what Pillow calls a JPEG with further pictures behind the first one.
_DRAWN = {
    "PNG": "image/png",
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",
    "GIF": "image/gif",
    "WEBP": "image/webp",
    "AVIF": "image/avif",
}
_PNG_MODES = ("1", "L", "LA", "I;16", "P", "RGB", "RGBA")


def addresses(split: str, problem: Problem | None) -> list[str | None]:
    """Where a problem's pictures are to be had on the server, None for one that cannot be decoded.

    split: name of the problem's set. Of each picture only the beginning is looked at, so that twenty take no second.
    """
    if problem is None:
        return []
    start = f"/pictures/{quote(split, safe='')}/{quote(problem.id, safe='')}"
    return [f"{start}/{number}" if readable(image) else None for number, image in enumerate(problem.images)]


def readable(image: bytes) -> bool:
    """Whether Pillow knows the bytes as a picture."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(image)):
            return True
    # Pillow raises nearly anything on broken files.
    except Exception:
        return False


def drawable(image: bytes) -> tuple[str, bytes] | None:
    """(content type, bytes) of a picture that every browser draws; None where Pillow cannot decode it.

    The type is what Pillow finds in the bytes, never what a name says. Formats that browsers do not draw (TIFF, BMP,
    JPEG 2000, ...) become PNG, turned upright.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(image)) as opened:
            if mime := _DRAWN.get(opened.format or ""):
                return mime, image
            return "image/png", _png(opened)
    except Exception:
        return None


def _png(image: Image) -> bytes:
    from PIL import ImageOps

    upright = ImageOps.exif_transpose(image)
    if upright.mode not in _PNG_MODES:
        upright = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
    stream = io.BytesIO()
    upright.save(stream, "PNG", compress_level=3)
    return stream.getvalue()
