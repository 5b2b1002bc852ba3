"""Tables of texts as plain text, CSV, Markdown and LaTeX."""

import csv
import dataclasses
import io
import re
from collections.abc import Sequence

from senet_jax.system.errors import printable

MISSING = "-"
"""A cell of which nothing is known."""
_LATEX = {
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "<": "\\textless{}",
    ">": "\\textgreater{}",
}


@dataclasses.dataclass(frozen=True)
class Table:
    """A table whose first column names its rows; all others are figures.

    Attributes:
        title: of the table.
        header: of its columns.
        rows: a text for each column.
        notes: sentences below it.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()

    def to_text(self) -> str:
        """With columns side by side, for a terminal."""
        rows = [[printable(cell) for cell in row] for row in (self.header, *self.rows)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(
                cell.rjust(width) if place else cell.ljust(width)
                for place, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        return "\n".join([self.title, *lines, *self.notes]) + "\n"

    def to_csv(self) -> str:
        """Its cells alone."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self.header, *self.rows])
        return text.getvalue()

    def to_markdown(self) -> str:
        """Under its title as a heading."""
        lines = [_line(self.header), "|---|" + "---:|" * (len(self.header) - 1)]
        lines += [_line(row) for row in self.rows]
        notes = "".join(f"\n{markdown(note)}\n" for note in self.notes)
        return f"### {markdown(self.title)}\n\n" + "\n".join(lines) + f"\n{notes}"

    def to_latex(self) -> str:
        """An environment `table`, for the package booktabs."""
        rows = [" & ".join(map(_latex, row)) + " \\\\" for row in self.rows]
        header = " & ".join(map(_latex, self.header)) + " \\\\"
        return "\n".join(
            [
                "\\begin{table}",
                f"\\caption{{{_latex(' '.join([f'{self.title}.', *self.notes]))}}}",
                f"\\begin{{tabular}}{{l{'r' * (len(self.header) - 1)}}}",
                *("\\toprule", header, "\\midrule", *rows, "\\bottomrule"),
                "\\end{tabular}",
                "\\end{table}",
                "",
            ]
        )


FORMATS = {
    ".txt": Table.to_text,
    ".csv": Table.to_csv,
    ".md": Table.to_markdown,
    ".tex": Table.to_latex,
}
"""How tables are written, by the ending of the file."""


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(markdown, cells)) + " |"


def markdown(text: str) -> str:
    """A text of one line, shown in Markdown as it is."""
    return re.sub(r"([\\`*_<>|\[\]&#])", r"\\\1", printable(text))


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in printable(text))
