"""A page as one HTML file that loads nothing and runs nothing but its own lines.

The policy in its head allows the style and the script by their hashes, and pictures that are part
of the page.
"""

import base64
import functools
import hashlib
import importlib.resources
from collections.abc import Iterable

from senet_jax.report.markup import Markup, join


def document(title: Markup, body: Iterable[str]) -> Markup:
    """The HTML of a page in the style of reports, whose tables can be sorted.

    Args:
        title: of the page.
        body: pieces of HTML.
    """
    style, script = base_style() + _own("page.css"), _own("page.js")
    policy = "; ".join(
        [
            "default-src 'none'",
            "img-src data:",
            f"style-src {_hash(style)}",
            f"script-src {_hash(script)}",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    return join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{title}</title>",
            f"<style>{style}</style></head><body>",
            *body,
            f"<script>{script}</script></body></html>\n",
        ]
    )


def base_style() -> str:
    """The colours and basics of every page, as CSS."""
    return _own("base.css")


@functools.cache
def _own(name: str) -> str:
    return (importlib.resources.files(__package__) / name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
