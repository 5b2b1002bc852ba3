"""Draws figures as a paper prints them: senet-jax figure KIND --help tells what each shows.

Kinds that are given workdirs draw what runs have kept, and compute nothing of it again. A file is
written as its name ends: .pdf, .png or .svg; letters and lines are vectors in two of them.
"""

import argparse
import dataclasses
import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from senet_jax.system.coordinates import coordinates
from senet_jax.system.errors import CommandParser, UserError, run_command, shown
from senet_jax.system.files import local_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".pdf", ".png", ".svg")
WIDTHS = {"column": 3.3, "page": 7.0}
"""In inches: of a column of text and of a page."""


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of figure.

    Attributes:
        help: what it shows, in a few words.
        description: what it shows.
        add: adds its flags.
        draw: from the flags to the figure; prints what is to be known about it.
        width: of the figure where none is given, None where it has only one.
    """

    help: str
    description: str
    add: Callable[[argparse.ArgumentParser], Any]
    draw: Callable[[argparse.Namespace], "Figure"]
    width: str | None = "column"


def main() -> None:
    """Reads the flags, and writes the figure."""
    parser = CommandParser(prog="python -m senet_jax.figure", description=__doc__)
    kinds = parser.add_subparsers(metavar="KIND", required=True)
    for name, kind in KINDS.items():
        own = kinds.add_parser(name, description=kind.description, help=kind.help)
        kind.add(own)
        own.add_argument(
            "--to",
            type=local_path,
            metavar="FILE",
            default=f"{name}.pdf",
            help=f"the file that is written: {', '.join(FORMATS)} (default: %(default)s)",
        )
        if kind.width is not None:
            own.add_argument(
                "--width",
                choices=WIDTHS,
                default=kind.width,
                help="of the figure, that of a column of text or of a page (default: %(default)s)",
            )
        own.set_defaults(draw=kind.draw)
    flags = parser.parse_args()
    target: pathlib.Path = flags.to
    if target.suffix not in FORMATS:
        raise UserError(f"{shown(str(target))} is no {', '.join(FORMATS)}; name such a file")
    figure = flags.draw(flags)
    from senet_jax.figure.paper import save_figure

    save_figure(figure, target)
    print(f"wrote {target}")


# Matplotlib and JAX take seconds to import, hence the imports in functions.


def _add_lists(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", metavar="A", type=local_path, help="the workdir of the upper system")
    parser.add_argument("b", metavar="B", type=local_path, help="the workdir of the lower one")
    parser.add_argument("--dataset", help="that both evaluated; default: the first one")
    parser.add_argument(
        "--queries", type=int, default=3, help="how many are drawn (default: %(default)s)"
    )


def _lists(flags: argparse.Namespace) -> "Figure":
    if flags.queries < 1:
        raise UserError(f"--queries is {flags.queries}; draw one at least")
    from senet_jax.figure.compared import compare
    from senet_jax.figure.lists import draw_lists

    return draw_lists(compare(flags.a, flags.b, flags.dataset, flags.queries))


def _add_weights(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("weights", metavar="W", type=local_path, help="a weights folder")


def _add_photograph(parser: argparse.ArgumentParser, name: str, what: str) -> None:
    parser.add_argument(name, metavar=name.upper(), type=local_path, help=f"the file of {what}")


def _add_box(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--box",
        type=coordinates("x1,y1,x2,y2"),
        metavar="x1,y1,x2,y2",
        help="the part of the query that counts, in pixels",
    )


def _add_similarity(parser: argparse.ArgumentParser) -> None:
    _add_weights(parser)
    _add_photograph(parser, "query", "a photograph that is looked for")
    _add_photograph(parser, "positive", "one that shows the same")
    _add_photograph(parser, "negative", "one that is found and should not be")
    _add_box(parser)


def _similarity(flags: argparse.Namespace) -> "Figure":
    from senet_jax.figure.heat import Seen
    from senet_jax.figure.similarity import draw_similarity

    model = _model(flags.weights)
    query = Seen(model, _photograph(flags.query, flags.box))
    if "structure" not in query.maps:
        print(
            f"{model.name} has no self-similarity module: its last map F and the descriptor alone"
        )
    others = {"positive": flags.positive, "hard\nnegative": flags.negative}
    seen = {name: Seen(model, _photograph(path)) for name, path in others.items()}
    return draw_similarity(query, seen, WIDTHS[flags.width])


def _add_self_similarity(parser: argparse.ArgumentParser) -> None:
    _add_weights(parser)
    _add_photograph(parser, "photo", "a photograph")
    parser.add_argument(
        "--point",
        type=coordinates("x,y"),
        metavar="x,y",
        required=True,
        help="that is compared with all others, in pixels of the photograph",
    )


def _self_similarity(flags: argparse.Namespace) -> "Figure":
    from senet_jax.figure.heat import Seen
    from senet_jax.figure.self_similarity import draw_self_similarity

    model = _model(flags.weights)
    seen = Seen(model, _photograph(flags.photo))
    if "structure" not in seen.maps:
        print(f"{model.name} has no self-similarity module: its last map F alone")
    return draw_self_similarity(seen, flags.point, WIDTHS[flags.width])


def _add_matches(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source",
        metavar="WORKDIR_OR_W",
        type=local_path,
        help="the workdir of an evaluation that searched the item, or a weights folder",
    )
    _add_photograph(parser, "query", "a photograph that is looked for")
    _add_photograph(parser, "item", "one that was found")
    _add_box(parser)
    parser.add_argument(
        "--method",
        default="geometric",
        help="of re-ranking, with its settings; it compares pairs (default: %(default)s)",
    )


def _matches(flags: argparse.Namespace) -> "Figure":
    from senet_jax.figure.matched import match
    from senet_jax.figure.matches import draw_matches
    from senet_jax.system.runtime import use_compilation_cache

    use_compilation_cache()
    query, item = _photograph(flags.query, flags.box), _photograph(flags.item)
    return draw_matches(match(flags.source, query, item, flags.method), WIDTHS[flags.width])


def _add_precision_recall(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "workdirs", metavar="WORKDIR", type=local_path, nargs="+", help="of a system"
    )
    parser.add_argument("--dataset", help="that all evaluated; default: the first one")
    _add_protocol(parser)


def _add_protocol(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--protocol",
        choices=("easy", "medium", "hard"),
        default="medium",
        help="of the benchmark (default: %(default)s)",
    )


def _precision_recall(flags: argparse.Namespace) -> "Figure":
    from senet_jax.figure.compared import curves_of, read_systems
    from senet_jax.figure.precision_recall import draw_precision_recall
    from senet_jax.metrics.protocols import PROTOCOLS

    systems = read_systems(flags.workdirs, flags.dataset)
    found = systems[0].ranked
    [protocol] = (protocol for protocol in PROTOCOLS if protocol.name == flags.protocol)
    curves = curves_of(systems, protocol)
    listed = min(curve.ranked.ranks.shape[1] for curve in curves)
    if listed < len(found.database):
        print(
            f"the lists end after {listed:,} of {len(found.database):,} items; what follows counts "
            "as not found"
        )
    truth, width = found.dataset.ground_truth, WIDTHS[flags.width]
    return draw_precision_recall(found.dataset.name, truth, protocol, curves, width)


def _add_queries(parser: argparse.ArgumentParser) -> None:
    for name in ("A", "B"):
        parser.add_argument(
            name.lower(), metavar=f"{name}[:NAME]", help="a workdir or a report, and an entry of it"
        )
    parser.add_argument("--dataset", help="that both evaluated; default: the first one")
    _add_protocol(parser)


def _queries(flags: argparse.Namespace) -> "Figure":
    from senet_jax.figure.queries import compared_entries, draw_queries

    heading, names, comparison = compared_entries((flags.a, flags.b), flags.dataset, flags.protocol)
    return draw_queries(comparison, names, heading, WIDTHS[flags.width])


def _add_curves(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "workdirs", metavar="WORKDIR", type=local_path, nargs="+", help="of a training"
    )


def _curves(flags: argparse.Namespace) -> "Figure":
    from senet_jax.figure.curves import draw_curves
    from senet_jax.figure.paper import apart
    from senet_jax.training.metrics import read_metrics

    names = apart([workdir.name for workdir in flags.workdirs])
    trainings = dict(zip(names, map(read_metrics, flags.workdirs), strict=True))
    return draw_curves(trainings, WIDTHS[flags.width])


def _model(folder: pathlib.Path) -> Any:
    from senet_jax.api import load

    model = load(folder)
    if model.is_random:
        print("RANDOM WEIGHTS, nothing is learned in them")
    return model


def _photograph(path: pathlib.Path, box: Any = None) -> Any:
    from senet_jax.data.revisitop import Photograph

    return Photograph(path.parent, path.name, box)


KINDS = {
    "lists": Kind(
        "ranked lists of two systems",
        "Two systems, one above the other: the first items that each of them found for the queries "
        "whose AP under Medium differs most between the two. A and B are workdirs of evaluations "
        "of the same dataset, or of trainings.",
        _add_lists,
        _lists,
        width=None,
    ),
    "similarity": Kind(
        "how alike a query is to a positive and to a hard negative, map by map",
        "How alike a query is to a positive and to a hard negative within a network: for each "
        "position the largest cosine similarity to a position of the other photograph, of the "
        "trunk's last map F, of the structure D, and of both fused, F^s; and of the descriptors.",
        _add_similarity,
        _similarity,
        width="page",
    ),
    "self_similarity": Kind(
        "what in a photograph resembles one point of it",
        "How a point of a photograph resembles all others: cosine similarities of the trunk's last "
        "map F and of the map q of the self-similarity module, and what the module sees in its "
        "window, as the mean over its channels.",
        _add_self_similarity,
        _self_similarity,
        width="page",
    ),
    "matches": Kind(
        "points that are the same in two photographs",
        "The points of two photographs that a pairwise re-ranker holds for the same, joined by "
        "lines.",
        _add_matches,
        _matches,
        width="page",
    ),
    "precision_recall": Kind(
        "precision over recall, for several systems",
        "The mean precision over recall of ranked lists, without the junk of the protocol; the "
        "area below a curve is mAP. Of one workdir its search and its re-rankings are drawn, of "
        "several the search of each.",
        _add_precision_recall,
        _precision_recall,
    ),
    "queries": Kind(
        "two systems query by query",
        "The AP of each query in B against that in A, and the differences B - A in order, with the "
        "95 % interval of their mean; A and B are as in senet-jax score.compare.",
        _add_queries,
        _queries,
    ),
    "curves": Kind(
        "learning curves of one training or several",
        "The loss of trainings over their steps, and the mAP under Medium of each dataset that "
        "they evaluated.",
        _add_curves,
        _curves,
    ),
}


if __name__ == "__main__":
    run_command(main)
