"""What the families draw with: colours, lettering, shapes. Pictures are 256 x 256 pixels, RGB."""

from __future__ import annotations

import io
import math
from functools import lru_cache
from random import Random

from PIL import Image, ImageDraw, ImageFont

SIZE = 256
INK = (40, 40, 48)

COLOURS = {
    "red": (214, 40, 40),
    "blue": (38, 84, 214),
    "green": (30, 150, 64),
    "orange": (244, 140, 20),
    "purple": (130, 50, 160),
}


@lru_cache
def font(size: int) -> ImageFont.FreeTypeFont:
    loaded = ImageFont.load_default(size)
    assert isinstance(loaded, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return loaded


def canvas(rng: Random) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """An empty sheet in a light shade that differs from picture to picture."""
    shade = tuple(rng.randint(240, 255) for _ in range(3))
    image = Image.new("RGB", (SIZE, SIZE), shade)
    return image, ImageDraw.Draw(image)


def text(pen: ImageDraw.ImageDraw, at: tuple[float, float], what: str, size: int, anchor: str = "mm") -> None:
    pen.text(at, what, fill=INK, font=font(size), anchor=anchor)


def shape(pen: ImageDraw.ImageDraw, kind: str, x: float, y: float, radius: float, colour: str) -> None:
    """A filled circle, square, triangle or star centred at (x, y)."""
    fill = COLOURS[colour]
    if kind == "circle":
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)
    elif kind == "square":
        side = radius * 0.9
        pen.rectangle((x - side, y - side, x + side, y + side), fill=fill)
    else:
        points, inner = (3, 1.0) if kind == "triangle" else (5, 0.42)
        turns = points if inner == 1.0 else 2 * points
        corners = []
        for turn in range(turns):
            reach = radius * 1.15 * (inner if turn % 2 and inner != 1.0 else 1.0)
            angle = -math.pi / 2 + 2 * math.pi * turn / turns
            corners.append((x + reach * math.cos(angle), y + reach * math.sin(angle)))
        pen.polygon(corners, fill=fill)


def png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format="PNG")
    return stream.getvalue()
