"""The dashboard's page: one HTML document, with its style, its scripts and a policy for both."""

import base64
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

STYLES = ("style.css",)
# In this order: each uses what those before it define.
SCRIPTS = (
    "words.js",
    "elements.js",
    "doors.js",
    "summary.js",
    "windows.js",
    "chart.js",
    "answers.js",
    "parked.js",
    "page.js",
)
_STYLE_PLACE = "<!-- style -->"
_SCRIPT_PLACE = "<!-- script -->"


@dataclass(frozen=True, slots=True)
class Page:
    """The document; `policy` lets nothing run in it but its own scripts, by their hashes."""

    text: str
    policy: str
    tag: str


def read_page() -> Page:
    """Put the document together from the files beside this module."""
    folder = files(__package__)
    styles = [_read(folder, name) for name in STYLES]
    scripts = [_read(folder, name) for name in SCRIPTS]
    text = (
        _read(folder, "page.html")
        .replace(_STYLE_PLACE, "".join(f"<style>{style}</style>" for style in styles))
        .replace(_SCRIPT_PLACE, "".join(f"<script>{script}</script>" for script in scripts))
    )
    tag = f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
    return Page(text=text, policy=_policy(styles, scripts), tag=tag)


def _policy(styles: list[str], scripts: list[str]) -> str:
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {' '.join(map(_hash, scripts))}",
            f"style-src {' '.join(map(_hash, styles))}",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        ]
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _read(folder: Traversable, name: str) -> str:
    return folder.joinpath(name).read_text(encoding="utf-8")
