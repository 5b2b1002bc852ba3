"""The blocks of code that the documentation shows."""

import re

from tests.processes import ROOT


def python_under(document: str, heading: str) -> str:
    """The Python blocks under a heading of `docs/DOCUMENT.md`, joined."""
    text = (ROOT / "docs" / f"{document}.md").read_text()
    _, under = re.split(rf"^#+ {re.escape(heading)}$", text, maxsplit=1, flags=re.MULTILINE)
    section = re.split(r"^#+ ", under, maxsplit=1, flags=re.MULTILINE)[0]
    blocks = python_blocks(section)
    assert blocks, f"{document}: nothing to run under {heading}"
    return "\n".join(blocks)


def python_blocks(text: str) -> list[str]:
    """The Python blocks of a text."""
    return re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
