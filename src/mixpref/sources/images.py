"""Image files of a user's data: read as bytes, and decoded once in full to be sure that they can be."""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path

from mixpref.sources.unusable import Unusable

MAX_BYTES = 64 * 2**20
"""Larger files are refused unread."""
MAX_PIXELS = 50_000_000
"""Larger images are refused undecoded: a few kilobytes can unpack to gigabytes."""

# No formats that run an interpreter (EPS) and none that models are not given.
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")


def read(root: Path, name: str, *, check: bool = True) -> bytes:
    """The bytes of an image file that a row names, from the folder `root`.

    check: decode the image as well.
    Raises Unusable where the name leads out of the folder, or there is no such file, or the image cannot be decoded.
    """
    # By the name alone: a link within the folder is the user's own, a row's ".." may be anybody's.
    if os.path.isabs(name) or "\0" in name or os.path.normpath(name).split(os.sep)[0] == os.pardir:
        raise Unusable("image outside the folder", f"the image {name!r} does not lie in {root}")
    path = root / name
    # Opening a pipe or a device could wait for ever.
    if not path.is_file():
        what = "is no file" if path.exists() else "does not exist"
        raise Unusable("missing image", f"the image {path} {what}")
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise Unusable("image too large", f"the image {path} has {size:,} bytes; {MAX_BYTES:,} are allowed")
        data = path.read_bytes()
    except OSError as reason:
        raise Unusable("missing image", f"the image {path} cannot be read ({reason.strerror})") from None
    if check:
        _decode(data, path)
    return data


def _decode(data: bytes, path: Path) -> None:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            # Pillow only warns of images above its own limit, and we have ours.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                width, height = image.size
                if width * height > MAX_PIXELS:
                    raise Unusable(
                        "image too large", f"the image {path} is {width} x {height}; {MAX_PIXELS:,} pixels are allowed"
                    )
                image.load()
    except Unusable:
        raise
    except Image.DecompressionBombError:
        raise Unusable("image too large", f"the image {path} has more than {MAX_PIXELS:,} pixels") from None
    except Exception as reason:
        # Decoders raise anything (OSError, SyntaxError, struct.error, ValueError ...): whatever it is, the file is bad.
        detail = f"{len(data)} bytes of no known image format" if "cannot identify" in str(reason) else str(reason)
        raise Unusable("broken image", f"the image {path} cannot be decoded ({detail})") from None
