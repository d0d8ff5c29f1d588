"""Images for the page: a problem's picture as a data URI that any browser can show, small enough to embed hundreds."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

from mixpref.records import content_hash

LARGEST = 256
"""Pixels of the longer side. The pictures as they are can be had from `mixpref view`."""
_BYTES = 10_000
# What every browser draws from the file as it is. Everything else (TIFF, BMP, ...) is coded anew.
_MIME = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif"}


class Album:
    """Thumbnails by a key of their content, so that problems that share a picture share its bytes."""

    def __init__(self) -> None:
        self.pictures: dict[str, str] = {}
        self._unreadable: set[str] = set()

    def keys(self, images: Sequence[bytes]) -> list[str | None]:
        """The keys of the images in `pictures`; None for one that cannot be decoded."""
        found: list[str | None] = []
        for image in images:
            key = content_hash(image)
            if key not in self.pictures and key not in self._unreadable:
                if uri := data_uri(image):
                    self.pictures[key] = uri
                else:
                    self._unreadable.add(key)
            found.append(key if key in self.pictures else None)
        return found


def data_uri(image: bytes) -> str | None:
    """The image as `data:image/...;base64,...`; None where Pillow cannot decode it.

    A small file in a common format is embedded as it is, a larger one as WebP of at most `LARGEST` pixels. The type
    is what Pillow found in the bytes, never what a file name says.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(image)) as opened:
            # A JPEG can be decoded at a fraction of its size, in a fraction of the time.
            opened.draft("RGB", (2 * LARGEST, 2 * LARGEST))
            mime = _MIME.get(opened.format or "")
            small = len(image) <= _BYTES and max(opened.size) <= LARGEST
            opened.load()
            if mime and small:
                return _uri(mime, image)
            upright = ImageOps.exif_transpose(opened)
            # Not in two steps, which Pillow cannot do with 16 bits.
            upright.thumbnail((LARGEST, LARGEST), reducing_gap=None)
            stream = io.BytesIO()
            transparent = upright.has_transparency_data
            upright.convert("RGBA" if transparent else "RGB").save(stream, format="WEBP", quality=80, method=4)
    # Pillow's decoders raise nearly anything on broken files, and one broken picture must not cost the page.
    except Exception:
        return None
    return _uri("image/webp", stream.getvalue())


def _uri(mime: str, data: bytes) -> str:
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"
