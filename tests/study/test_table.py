import csv

from senet_jax.study.table import FORMATS, Table

HOSTILE = "a|b <script>alert(1)</script>\n\\input{x} 50 % & _c_ \x1b[31m"
TABLE = Table("Title", ["", "Medium, x"], [[HOSTILE, "1.0"], ["b", "-"]], ["A note."])


def test_a_row_is_a_line_in_every_form():
    for to_text in FORMATS.values():
        assert "\x1b" not in to_text(TABLE) or to_text is FORMATS[".csv"]
    text = FORMATS[".txt"](TABLE).splitlines()
    assert len(text) == 5 and text[0] == "Title" and text[-1] == "A note."
    assert len(set(map(len, text[1:4]))) == 1

    markdown = FORMATS[".md"](TABLE).splitlines()
    assert markdown[3] == "|---|---:|"
    assert all(line.count("|") - line.count("\\|") == 3 for line in markdown[2:6])
    assert "<script" not in FORMATS[".md"](TABLE).replace("\\<", "")

    latex = FORMATS[".tex"](TABLE)
    assert "\\input" not in latex and "50 \\% \\& \\_c\\_" in latex
    assert latex.count("\\\\\n") == 3
    assert "\\caption{Title. A note.}" in latex


def test_csv_is_read_back():
    rows = list(csv.reader(FORMATS[".csv"](TABLE).splitlines(keepends=True)))
    assert rows == [["", "Medium, x"], [HOSTILE, "1.0"], ["b", "-"]]
