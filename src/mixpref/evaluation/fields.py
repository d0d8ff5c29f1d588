"""The fields of a benchmark's row. What is missing or of another kind raises Unusable, which makes the row an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mixpref.sources.unusable import Unusable


def text(row: Mapping[str, Any], *names: str) -> str:
    """The text in the first of these fields that the row has, blanks around it left out. Raises Unusable."""
    for name in names:
        value = row.get(name)
        if isinstance(value, str) and value.strip():
            return value.strip()
        if value is not None:
            raise Unusable("field", f"its {name} is {value!r:.80}, and no text")
    raise Unusable("field", f"it has no {' or '.join(names)}")


def texts(row: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """The texts in a field: of a list, or of one text with commas between them; none where it holds anything else."""
    value = row.get(name)
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list | tuple) else ()
    return tuple(part.strip() for part in parts if isinstance(part, str) and part.strip())


def key(row: Mapping[str, Any], place: str, *names: str) -> str:
    """The row's own name: its first field of these that holds a text or a number; without any, its place."""
    found = (row[name] for name in names if isinstance(row.get(name), str | int))
    return str(next(found, place))


def kind(row: Mapping[str, Any], name: str) -> str:
    """What a field says for the row's group, in small letters; "unknown" where it says nothing."""
    value = row.get(name)
    return value.strip().lower() if isinstance(value, str) and value.strip() else "unknown"
