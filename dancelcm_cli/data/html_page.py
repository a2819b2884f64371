"""A web page in one file: styles, script, data and pictures inside it, nothing from outside.

It opens from a disk without a network. Its Content-Security-Policy forbids every request and lets
only the given script run, so that a name with markup in it can do no harm even unescaped.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from html import escape

DATA_ID = "data"  # of the element that holds the data: JSON.parse its text


def page(title: str, body: str, styles: str, script: str, data: Mapping[str, object]) -> str:
    """Return the page as HTML.

    Args:
        title: Plain text; it is escaped.
        body: Markup, in which the caller has escaped whatever is text.
        styles: CSS; `style` attributes in `body` have no effect.
        script: JavaScript that runs once the body is there; `on...` attributes have no effect.
        data: What the script reads from the element called `DATA_ID`. Pictures are `data:` URIs.

    Raises:
        ValueError: The data hold what JSON cannot, such as NaN.
    """
    policy = (
        "default-src 'none'; img-src data:; media-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src '{_hash(styles)}'; script-src '{_hash(script)}'"
    )
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<link rel="icon" href="data:,">\n<title>{escape(title)}</title>\n'
        f"<style>{styles}</style>\n</head>\n<body>\n{body}\n"
        f'<script type="application/json" id="{DATA_ID}">{json_for_html(data)}</script>\n'
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


def json_for_html(value: object) -> str:
    """Return `value` as JSON that no HTML parser takes for the end of a script or a comment."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def data_uri(content: bytes, media_type: str) -> str:
    """Return `content` as an address that holds it, such as that of an "image/jpeg"."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def _hash(text: str) -> str:
    """Return the source expression of Content Security Policy level 3 that admits `text`."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
