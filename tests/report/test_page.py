import base64
import dataclasses
import hashlib
import html.parser
import importlib.resources
import re

import numpy as np
import pytest

from senet_jax.metrics.evaluation_report import EvaluationReport
from senet_jax.metrics.run_report import Run
from senet_jax.report.gallery import Gallery, ShownItem, ShownList, ShownQuery
from senet_jax.report.markup import MISSING
from senet_jax.report.page import MOST_FACTS, page
from senet_jax.report.pictures import thumbnail
from senet_jax.report.tables import MOST_QUERIES
from tests.data.pictures import picture

HOSTILE = "<script>alert(1)</script>\"'&`<img src=x onerror=alert(2)>"
VOID = {"meta", "img"}
TAGS = VOID | {
    *("html", "head", "title", "style", "body", "header", "main", "section", "script"),
    *("h1", "h2", "h3", "h4", "p", "ul", "ol", "li", "b", "small", "span", "div"),
    *("details", "summary", "table", "caption", "thead", "tbody", "tr", "th", "td"),
}
PICTURE = thumbnail(picture(48, 64))


class Document(html.parser.HTMLParser):
    """What a browser sees of a page.

    Attributes:
        elements: for each the tag and its attributes.
        texts: what stands between tags, by the tag around it.
        captions: of the tables.
    """

    def __init__(self, source):
        super().__init__()
        self.elements, self.texts, self._open = [], [], []
        self.feed(source)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self._open[-1] if self._open else "", data))

    def of(self, tag):
        return [attributes for other, attributes in self.elements if other == tag]

    def said(self, tag=None):
        return [text for other, text in self.texts if tag in (None, other) and text.strip()]


def report(medium, names=None, **notes):
    """Scores of which those under Medium are given, and the others follow from them."""
    medium = np.array(medium, float)
    scores = {
        name: np.repeat((medium * factor)[:, None], 4, axis=1)
        for name, factor in (("easy", 1.0), ("medium", 1.0), ("hard", 0.5))
    }
    names = tuple(f"query{i}" for i in range(len(medium))) if names is None else names
    return EvaluationReport(names, scores, notes)


def gallery(name="q", item="a.jpg", picture=PICTURE):
    verdicts = {"right": 0.875, "wrong": 0.5, "junk": np.nan}
    items = [ShownItem(item, *shown, picture) for shown in verdicts.items()]
    lists = [ShownList("search", 0.25, 1, items), ShownList("aqe", 0.5, None, items[1:])]
    return Gallery([ShownQuery(name, picture, lists)], [])


COST = {
    "database_seconds": 1.5,
    "seconds_per_query": 0.25,
    "pairs_per_query": 100.0,
    "computed_pairs_per_query": 50.0,
    "peak_memory_bytes": 3_000_000_000,
}
RUN = Run(
    config={"job": "evaluate", "model": "r50", "distractors": "", "crop_queries": True},
    weights_sha256="0f" * 32,
    weights={"model": "r50", "file": "theirs.pyth"},
    counts={"roxford5k": {"queries": 2, "database": 4993}},
    seconds={"total": 12.34},
    versions={"jax": "0.10.2"},
)
ENTRIES = {
    "roxford5k": report([0.25, 0.75, np.nan]),
    "roxford5k+alpha_qe:blind": report([0.5, 1.0, np.nan], cost=COST, settings={"top": 9}),
    "roxford5k+alpha_qe:protocol": report([0.6, 1.0, np.nan], cost=COST),
}


def made(entries=ENTRIES, run=RUN, galleries=None):
    return page(entries, run, {"roxford5k": gallery()} if galleries is None else galleries)


def test_it_is_one_whole_document():
    source = made()
    document = Document(source)
    assert source.startswith("<!DOCTYPE html>")
    assert {tag for tag, _ in document.elements} <= TAGS
    assert document.of("html") == [{"lang": "en"}]
    assert document.said("title") == document.said("h1") == ["Evaluation of r50: roxford5k"]
    assert len(document.of("main")) == len(document.of("h1")) == 1


def test_nothing_is_loaded_and_nothing_foreign_runs():
    document = Document(made())
    for tag, attributes in document.elements:
        assert not {"href", "action", "srcset", "style", "srcdoc", "data"} & attributes.keys()
        assert not [name for name in attributes if name.startswith("on")]
        source = attributes.get("src", "")
        assert not source or (tag == "img" and source.startswith("data:image/jpeg;base64,"))
    policies = [a["content"] for a in document.of("meta") if "http-equiv" in a]
    [style], [script] = document.said("style"), document.said("script")

    def allowed(content):
        return "'sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()

    assert policies == [
        f"default-src 'none'; img-src data:; style-src {allowed(style)}'; "
        f"script-src {allowed(script)}'; base-uri 'none'; form-action 'none'"
    ]
    assert not re.search(r"url\(|@import|https?:", style + script)
    folder = importlib.resources.files("senet_jax.report")
    sheets = [(folder / name).read_text(encoding="utf-8") for name in ("base.css", "page.css")]
    assert style == "".join(sheets)
    assert script == (folder / "page.js").read_text(encoding="utf-8")


def hostile_page(name):
    """A page with a name in every place that a file of someone else can fill."""
    run = Run(
        config={"model": name, name: name, "inner": {name: [name]}, "distractors": name},
        weights_sha256=name,
        weights={"model": name, name: name},
        counts={name: {name: name}, "other": name},
        skipped=2,
        seconds={name: 1.0},
        versions={name: name},
    )
    notes = {
        "cost": {name: name, "seconds_per_query": name},
        "settings": {name: name, "other": [name]},
        "search": {"backend": name, f"recall@{name}": 0.5, "recall@2": name},
    }
    entries = {
        name: report([0.5, 0.25], (name, name), search=notes["search"]),
        f"{name}+{name}:blind": report([0.5, 0.25], (name, name), **notes),
    }
    shown = gallery(name, name)
    lists = [dataclasses.replace(each, label=name) for each in shown.worst[0].lists]
    shown = dataclasses.replace(shown, worst=[dataclasses.replace(shown.worst[0], lists=lists)])
    return page(entries, run, {name: shown}), page(entries, run, {name: name})


@pytest.mark.parametrize("name", [HOSTILE, "</style></script><!--", "]]><svg/onload=alert(1)>"])
def test_names_are_text_wherever_they_come_from(name):
    for source in hostile_page(name):
        document = Document(source)
        assert {tag for tag, _ in document.elements} <= TAGS
        assert len(document.of("script")) == len(document.of("style")) == 1
        known = {"alt", "title", "aria-label", "class", "scope", "src", "width", "height", "lang"}
        known |= {"charset", "http-equiv", "content", "name", "decoding", "role", "tabindex"}
        known |= {"aria-sort", "aria-hidden", "aria-labelledby", "id", "open", "data-value"}
        assert {key for _, attributes in document.elements for key in attributes} <= known
        assert document.said().count(name) >= 6  # It is there, as it is.
        assert name in document.said("title")[0]
    pictures = Document(hostile_page(name)[0]).of("img")
    assert pictures and all(name in attributes["alt"] for attributes in pictures)


def test_names_that_cannot_be_seen_are_spelled_out():
    source = made({"a\u202eb\udcff\n\x00c": report([0.5])}, galleries={})
    assert "a\\u202eb\\udcff \\x00c" in source
    source.encode()


def test_long_names_are_shortened():
    assert len(made({"a" * 10**6: report([0.5])}, galleries={})) < 50_000


def rows_of(source, caption):
    """The rows of a table by its caption, as lists of texts."""
    [body] = [part for part in source.split("<table")[1:] if f"<caption>{caption}" in part]
    rows = body.split("</table>")[0].split("<tr")[1:]
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]
    return [[re.sub("<[^>]*>", "", cell) for cell in row] for row in cells]


def test_scores_stand_beside_the_paper_s():
    rows = rows_of(made(), "roxford5k: mAP")
    assert rows[0] == ["System", "Easy", "Medium", "Hard", "Re-ranking a query"]
    names = [row[0] for row in rows[1:]]
    assert names == [
        "search",
        "SENet R50, both losses the paper, Table S1",
        "alpha_qe:blind",
        "SENet R50, both losses, with \N{GREEK SMALL LETTER ALPHA}QE the paper, Table S2",
        "alpha_qe:protocol",
    ]
    assert rows[1][2:] == ["50.0 25.0 to 75.0", "25.0 12.5 to 37.5", MISSING]
    assert rows[2][1:] == [MISSING, "81.9", "63.0", MISSING]
    assert rows[3][1] == "75.0 50.0 to 100.0" and rows[3][4] == "0.25 s"


def test_what_it_costs_and_mean_precision():
    source = made()
    assert rows_of(source, "roxford5k: what re-ranking took")[1] == [
        *("alpha_qe:blind top 9", "1.5 s", "0.25 s", "100.0", "50.0", "3.00 GB"),
    ]
    precision = rows_of(source, "roxford5k: mean precision")
    assert precision[0][1:4] == ["Easy mP@1", "Easy mP@5", "Easy mP@10"]
    assert precision[1] == ["search", *["50.0"] * 6, *["25.0"] * 3]
    alone = made({"roxford5k": ENTRIES["roxford5k"]})
    assert "what re-ranking took" not in alone


def test_how_re_ranking_was_set():
    """Each method once for both kinds of a re-ranking; what is no such note is left out."""
    gv = {"method": "gv", "settings": {"pixels": 20.0, "seed": 0}, "ties": "the lower index"}
    odd = [3, {"settings": []}, {"settings": {"a": [HOSTILE]}}]
    entries = {
        "town": report([0.5]),
        "town+gv:blind": report([0.5], methods=[gv]),
        "town+gv:protocol": report([0.5], methods=[gv]),
        "town+odd:blind": report([0.5], methods=odd),
        "town+odder:blind": report([0.5], methods="gv"),
    }
    rows = rows_of(made(entries, galleries={}), "town: how re-ranking was set")
    assert rows[:2] == [
        ["Re-ranking", "Method", "Settings", "Among equals"],
        ["gv", "gv", "pixels 20.0, seed 0", "the lower index"],
    ]
    assert len(rows) == 3 and rows[2][:2] == ["odd", MISSING]
    assert "how re-ranking was set" not in made({"town": report([0.5])}, galleries={})


def test_every_query_failures_first():
    entries = {
        "town": report([0.75, np.nan, 0.25, 0.5], ("best", "none", "worst", None)),
        "town+aqe:blind": report([1.0, np.nan, 0.1, 0.2]),
    }
    rows = rows_of(made(entries, galleries={}), "town: the AP of every query")
    assert rows[0] == ["Query", "Easy AP", "Medium AP", "Hard AP", "aqe:blind, Medium"]
    assert rows[1:] == [
        ["worst", "25.0", "25.0", "12.5", "10.0"],
        ["query 3", "50.0", "50.0", "25.0", "20.0"],
        ["best", "75.0", "75.0", "37.5", "100.0"],
        ["none", MISSING, MISSING, MISSING, MISSING],
    ]


def test_tables_can_be_read_and_sorted_by_anyone():
    document = Document(made())
    tables = len(document.of("table"))
    assert len(document.said("caption")) == tables == len(document.of("caption"))
    assert all("scope" in attributes for attributes in document.of("th"))
    [sorted_by] = [attributes for attributes in document.of("th") if "aria-sort" in attributes]
    assert sorted_by["aria-sort"] == "ascending"
    assert [attributes.get("class") for attributes in document.of("table")].count("sortable") == 1
    regions = [attributes for attributes in document.of("div") if "tabindex" in attributes]
    assert len(regions) == tables
    assert all(a["role"] == "region" and a["aria-label"] for a in regions)


def test_verdicts_are_words_and_borders_and_pictures_have_names():
    document = Document(made())
    pictures = document.of("img")
    assert [a["alt"] for a in pictures] == ["The query q", *["a.jpg"] * 5]
    assert base64.b64decode(pictures[0]["src"].partition(",")[2]) == PICTURE.jpeg
    assert (pictures[0]["width"], pictures[0]["height"]) == ("64", "48")
    items = [a["class"] for a in document.of("li") if "class" in a]
    assert items[:3] == ["right", "wrong", "junk"]  # The legend, of what is shown.
    assert items[3:] == ["right", "wrong", "junk", "wrong", "junk"]
    said = [text.strip() for text in document.said("span")]
    first = [*("1 \N{MIDDLE DOT} 0.88", "right"), *("2 \N{MIDDLE DOT} 0.50", "wrong"), "3", "junk"]
    assert said == [*first, "1 \N{MIDDLE DOT} 0.50", "wrong", "2", "junk"]
    assert "the first right one is at rank 1" in document.said("small")
    assert "none that is kept is right" in document.said("small")


def test_without_pictures_the_names_are_there():
    document = Document(made(galleries={"roxford5k": gallery(picture=None)}))
    assert not document.of("img") and document.said("p").count("no picture") == 6
    assert document.said("small").count("a.jpg") == 5
    assert "No ranked lists are shown: gone." in made(galleries={"roxford5k": "gone"})


@pytest.mark.parametrize(
    ("change", "warning"),
    [
        ({"random_weights": True}, "The weights are random"),
        ({"config": {"crop_queries": False}}, "The queries were not cut to their boxes"),
        ({"skipped": 1}, "1 photograph could not be read"),
        ({"skipped": 1200}, "1,200 photographs could not be read"),
    ],
)
def test_warnings_come_before_the_numbers(change, warning):
    source = made(run=dataclasses.replace(RUN, **change))
    assert source.index(warning) < source.index("<table")
    assert 'class="warnings"' not in made() and warning not in made()


def test_a_page_without_scores_has_its_provenance():
    source = made({}, Run(config={"job": "train", "model": "tiny"}), {})
    assert "Training of tiny: no dataset" in source
    assert ["config.job", "train"] in rows_of(source, "The network")


def test_where_it_comes_from():
    rows = rows_of(made(), "The network")
    for row in (
        ["SHA-256 of its tensors", "0f" * 32],
        ["weights, file", "theirs.pyth"],
        ["took, total", "12.3 s"],
        ["version, jax", "0.10.2"],
        ["config.crop_queries", "True"],
    ):
        assert row in rows
    assert "queries: 2, database: 4,993" in made()


def test_its_size_is_bounded():
    many = report(np.linspace(0, 1, 3 * MOST_QUERIES))
    run = dataclasses.replace(RUN, config={str(i): i for i in range(3 * MOST_FACTS)})
    source = made({"town": many}, run, {})
    rows = rows_of(source, f"town: the AP, times 100, of the {MOST_QUERIES:,} worst queries")
    assert len(rows) == 1 + MOST_QUERIES and rows[1][0] == "query0"
    assert len(rows_of(source, "The network")) == 1 + MOST_FACTS
