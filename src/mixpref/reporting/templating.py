"""What the pages' templates have in common: everything is escaped, and figures are written in one way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixpref.reporting.cases import printable
from mixpref.reporting.headline import probability
from mixpref.reporting.scoreboard import capital, title_of
from mixpref.reporting.table import interval, number, percent, points, shown

if TYPE_CHECKING:
    from jinja2 import Template


def template(name: str) -> Template:
    """A template of `templates/`. Texts are cleaned, then escaped; only what this package drew itself is markup."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("mixpref.reporting"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        finalize=lambda value: value if isinstance(value, Markup) or not isinstance(value, str) else printable(value),
    )
    environment.filters |= {
        "percent": percent,
        "points": points,
        "interval": interval,
        "number": number,
        "shown": shown,
        "capital": capital,
        "title_of": title_of,
        "probability": probability,
        "count": "{:,}".format,
    }
    return environment.get_template(name)
