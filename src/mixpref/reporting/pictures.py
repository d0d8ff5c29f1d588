"""Images for the page: a problem's picture as a data URI that any browser can show, small enough to embed by dozens."""

from __future__ import annotations

import base64
import io

LARGEST = 640
"""Pixels of the longer side; twice what the page shows, for dense screens."""
_BYTES = 48_000
# What every browser draws from the file as it is. Everything else (TIFF, BMP, ...) is coded anew.
_MIME = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif"}


def data_uri(image: bytes) -> str | None:
    """The image as `data:image/...;base64,...`; None where Pillow cannot decode it.

    A small file in a common format is embedded as it is, a larger one as WebP of at most `LARGEST` pixels. The type
    is what Pillow found in the bytes, never what a file name says.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(image)) as opened:
            opened.load()
            mime = _MIME.get(opened.format or "")
            if mime and len(image) <= _BYTES and max(opened.size) <= LARGEST:
                return _uri(mime, image)
            upright = ImageOps.exif_transpose(opened)
            upright.thumbnail((LARGEST, LARGEST))
            stream = io.BytesIO()
            transparent = upright.has_transparency_data
            upright.convert("RGBA" if transparent else "RGB").save(stream, format="WEBP", quality=82, method=4)
    # Pillow's decoders raise nearly anything on broken files, and one broken picture must not cost the page.
    except Exception:
        return None
    return _uri("image/webp", stream.getvalue())


def _uri(mime: str, data: bytes) -> str:
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"
