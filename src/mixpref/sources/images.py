"""Image files of a user's data: found within their folder, read as bytes, and decoded once in full to be sure of them.

What is refused, each with a kind of its own: names that lead out of the folder, missing files, files and pictures that
are too large or too small, shapes that image processors fail on, files of several pictures, pixels that do not become
RGB without being clipped, and what does not decode to its end.
"""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path
from typing import IO, Any

from mixpref.sources.unusable import Unusable

MAX_BYTES = 64 * 2**20
"""Larger files are refused unread."""
MAX_PIXELS = 50_000_000
"""Larger images are refused undecoded: a few kilobytes can unpack to gigabytes."""
MIN_SIDE = 2
"""Of one row or column of pixels, image processors cannot tell the sides from the colours."""
MAX_RATIO = 200
"""The longer side may be so many times the shorter one; processors that keep the shape fail beyond."""

# No formats that run an interpreter (EPS) and none that models are not given.
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
# Of these, convert("RGB") keeps what is seen. It clips 16 bits and floats to white.
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")


def read(root: Path, name: str, *, check: bool = True) -> bytes:
    """The bytes of an image file that a row names, from the folder `root`.

    check: decode the image as well.
    Raises Unusable where the name leads out of the folder, or there is no such file, or the image cannot be used.
    """
    path = locate(root, name)
    try:
        data = path.read_bytes()
    except OSError as reason:
        raise Unusable("missing image", f"the image {path} cannot be read ({reason.strerror})") from None
    if check:
        decode(data, str(path))
    return data


def locate(root: Path, name: str) -> Path:
    """The path of an image file that a row names, from the folder `root`; the file is there and not too large.

    A link within the folder may lead anywhere: it is the user's own, a row's ".." may be anybody's.
    Raises Unusable otherwise.
    """
    # Not the name as it stands: of "link/../a", the system would take the parent of where the link leads.
    inside = os.path.normpath(name)
    if os.path.isabs(name) or "\0" in name or inside.split(os.sep)[0] == os.pardir:
        raise Unusable("image outside the folder", f"the image {name!r} does not lie in {root}")
    path = root / inside
    try:
        # Opening a pipe or a device could wait for ever.
        if not path.is_file():
            what = "is no file" if path.exists() else "does not exist"
            raise Unusable("missing image", f"the image {path} {what}")
        size = path.stat().st_size
    except (OSError, UnicodeEncodeError) as reason:
        # A name that is too long, or that no file can have.
        raise Unusable("missing image", f"the image {name[:200]!r} in {root} cannot be read ({reason})") from None
    if size > MAX_BYTES:
        raise Unusable("image too large", f"the image {path} has {size:,} bytes; {MAX_BYTES:,} are allowed")
    return path


def look(path: Path) -> None:
    """Check the head of an image file, undecoded: format, size, shape, mode, one picture. Raises Unusable."""
    try:
        with open(path, "rb") as file:
            _checked(file, str(path), load=False)
    except OSError as reason:
        raise Unusable("missing image", f"the image {path} cannot be read ({reason.strerror})") from None


def decode(data: bytes, name: str) -> None:
    """Decode the bytes of an image file in full; `name` is for messages. Raises Unusable where they do not."""
    if len(data) > MAX_BYTES:
        raise Unusable("image too large", f"the image {name} has {len(data):,} bytes; {MAX_BYTES:,} are allowed")
    _checked(io.BytesIO(data), name, load=True)


def _checked(file: IO[bytes], name: str, *, load: bool) -> None:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            # Pillow only warns of images above its own limit, and we have ours.
            warnings.simplefilter("ignore")
            with Image.open(file, formats=_FORMATS) as image:
                _refuse(image, name)
                if load:
                    image.load()
                    # A turned TIFF has its sides only now, and a palette its colours.
                    _refuse(image, name)
    except Unusable:
        raise
    except Image.DecompressionBombError:
        raise Unusable("image too large", f"the image {name} has more than {MAX_PIXELS:,} pixels") from None
    except Exception as reason:
        # Decoders raise anything (OSError, SyntaxError, struct.error, ValueError ...): whatever it is, the file is bad.
        said = " ".join(str(reason).split()) or type(reason).__name__
        detail = "it is of no known image format" if "cannot identify" in said else said
        raise Unusable("broken image", f"the image {name} cannot be decoded ({detail})") from None


def _refuse(image: Any, name: str) -> None:
    """Raises Unusable where the picture, as its head tells, is none that models can be given."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise Unusable("image too large", f"the image {name} is {width} x {height}; {MAX_PIXELS:,} pixels are allowed")
    if min(width, height) < MIN_SIDE:
        raise Unusable(
            "image too small", f"the image {name} is {width} x {height}; {MIN_SIDE} pixels a side are wanted"
        )
    if max(width, height) > MAX_RATIO * min(width, height):
        raise Unusable(
            "image too long", f"the image {name} is {width} x {height}; its sides may differ {MAX_RATIO} times"
        )
    # A JPEG's further pictures (MPO) are previews and depths of the first, which all programs show.
    if image.format != "MPO" and getattr(image, "is_animated", False):
        raise Unusable("several pictures", f"the image {name} is an animation or has several pages; save one as a file")
    if image.mode not in _MODES:
        raise Unusable("unsupported mode", f"the image {name} has pixels of mode {image.mode}; save it as 8-bit RGB")
