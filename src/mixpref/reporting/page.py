"""The page: findings in, one HTML text out, which needs nothing but itself.

The page runs one script, its own, and fetches nothing; its content security policy says so to the browser. All text is
escaped by the template or put in by the script as text, for a model may well answer in HTML, and pictures come in only
as images that Pillow has decoded. `mixpref view` serves the same page, where the script asks the server for the cases.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shlex
from collections import Counter
from importlib import resources
from typing import Any

from mixpref.reporting.gather import Findings
from mixpref.reporting.headline import facts, headline
from mixpref.reporting.panels import bars, pairing_plots, samples_plots, sampling_plots, training_plots
from mixpref.reporting.scoreboard import board, sections
from mixpref.reporting.table import NOTHING, STYLES, difference
from mixpref.reporting.templating import template

_ROLES = {
    "base": "before training",
    "sft": "fine-tuned on the chosen responses only",
    "dpo": "preference part of the objective only",
    "mpo": "mixed preference optimization",
}
_WHYS = {
    "correctness": "right answer against wrong answer",
    "format": "right answer against no readable answer",
    "dropout-ntp": "with the picture against continued without it",
    "vote": "majority answer against another",
    "foreign": "from elsewhere",
}
_REJECTED_SHOWN = 200
API = "/api"
"""Where the served page's script asks for cases."""


def render(findings: Findings, *, served: bool = False) -> str:
    """The page as HTML text. served: for a server that has the cases under `API`; they are not in the page then."""
    from markupsafe import Markup

    return template("report.html.jinja").render(_context(findings, Markup, served), difference=difference)


def policy(served: bool) -> str:
    """The content security policy: what the page may load and run, whatever stands in it."""
    digest = base64.b64encode(hashlib.sha256(script().encode()).digest()).decode()
    pictures, fetched = ("data: 'self'", "'self'") if served else ("data:", "'none'")
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src {pictures}; "
        f"connect-src {fetched}; base-uri 'none'; form-action 'none'"
    )


def script() -> str:
    """The page's script."""
    return resources.files("mixpref.reporting").joinpath("templates", "report.js").read_text(encoding="utf-8")


def commands(findings: Findings) -> dict[str, str]:
    """The command behind each part of the page."""
    run = shlex.quote(findings.path)
    stages = ("sample", "verify", "pair", "report", "view")
    trained = {role: f"mixpref train {run}" + ("" if role == "mpo" else f" --role {role}") for role in findings.logs}
    return {
        **{stage: f"mixpref {stage} {run}" for stage in stages},
        **{f"train {role}": command for role, command in trained.items()},
        "evaluate": findings.measured,
    }


def _context(findings: Findings, markup: type, served: bool) -> dict[str, Any]:
    shown = findings.gallery
    return {
        "name": findings.name,
        "seed": findings.seed,
        "policy": policy(served),
        "script": markup(script()),
        "api": API if served else None,
        "cases": None
        if served
        else markup(_json({"pairs": shown.pairs, "items": shown.items, "pictures": shown.pictures})),
        "command": commands(findings),
        "headline": headline(findings),
        "facts": facts(findings),
        "board": board(findings.scores),
        "benchmarks": sections(findings.scores, markup),
        "roles": _ROLES,
        "styles": STYLES,
        "training": {role: [markup(plot) for plot in training_plots(log)] for role, log in findings.logs.items()},
        "steps": {role: log[-1]["step"] for role, log in findings.logs.items()},
        "bars": bars(findings),
        "samples_plots": [markup(plot) for plot in samples_plots(findings.samples)],
        "sampling_plots": [markup(plot) for plot in sampling_plots(findings.sampled)],
        "pairing_plots": [markup(plot) for plot in pairing_plots(findings.paired)],
        "kinds": [(why, _WHYS.get(why, ""), count) for why, count in findings.paired.kinds.items()],
        "paired_problems": findings.paired.problems,
        "all_pairs": findings.all_pairs,
        "pairs_here": len(shown.pairs),
        "changes": findings.changes,
        "all_items": findings.all_items,
        "items_here": len(shown.items),
        "rejected": findings.rejected[:_REJECTED_SHOWN],
        "rejected_kinds": Counter(row.kind for row in findings.rejected),
        "recipe": findings.recipe,
        "manifests": findings.manifests,
        "nothing": NOTHING,
    }


def _json(value: Any) -> str:
    """JSON that can stand in a <script>: nothing in it ends the element or begins a comment."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
