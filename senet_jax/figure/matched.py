"""The points of two photographs that a pairwise re-ranker holds for the same."""

import contextlib
import dataclasses
import pathlib
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from ml_collections import config_dict

from senet_jax.data.revisitop import Photograph, read_image
from senet_jax.figure.matches import Pair
from senet_jax.jobs.evaluation_plan import EvaluationPlan
from senet_jax.jobs.reranking import Reranking
from senet_jax.jobs.settings import EvaluationSettings
from senet_jax.metrics.saved import REPORT
from senet_jax.report.results import evaluated_names, is_training, read_run
from senet_jax.rerank.methods import make_chain
from senet_jax.rerank.pairwise import PairwiseMethod
from senet_jax.system.errors import UserError, printable, shown
from senet_jax.weights import load_weights

_NO_PLAN = EvaluationPlan(
    datasets=(),
    distractors=None,
    crop_queries=False,
    scales=(1.0,),
    long_side=0,
    mode="auto",
    precision="float32",
    storage="float32",
    strict=False,
    allow_unreadable=0.0,
    whiten=False,
)


@dataclasses.dataclass(frozen=True, eq=False)
class _Source:
    """Where features come from.

    Attributes:
        reranking: makes them.
        query: with its box.
        images: the database that what is fitted is fitted to.
        place: of the item in it.
    """

    reranking: Reranking
    query: Photograph
    images: Sequence[Photograph]
    place: int


def match(source: pathlib.Path, query: Photograph, item: Photograph, method: str) -> Pair:
    """Matches two photographs as an evaluation does, or by weights alone.

    Args:
        source: the workdir of an evaluation that searched the item; a query has the box of its
            dataset, unless it comes with one. Or a weights folder: what is fitted to a database
            elsewhere is then fitted to these two.
        query: with a box, if a part of it counts.
        item: the other photograph.
        method: one pairwise method, with its settings.

    Raises:
        UserError: the source is neither, the method finds no points, or a photograph is not there.
    """
    chosen = _chosen(method)
    of_source = _of_evaluation if (source / REPORT).is_file() else _of_weights
    with of_source(source, query, item, method) as found:
        query = found.query
        source_of_kind = found.reranking.features(chosen.needs, [query], found.images)
        features = chosen.features(source_of_kind)
        matches = chosen.matches(features.query(0), features.item(found.place))
    return Pair(
        query=read_image(query.path),
        item=read_image(item.path),
        box=query.box,
        matches=matches,
        note=f"{len(matches)} {'point' if len(matches) == 1 else 'points'} matched by {method}",
    )


def _chosen(text: str) -> PairwiseMethod:
    [method, *others] = make_chain(text).methods
    if others or not isinstance(method, PairwiseMethod):
        raise UserError(
            f"--method is {shown(text)}; name one that compares pairs of photographs, such as "
            "geometric"
        )
    method.check_points()
    return method


@contextlib.contextmanager
def _of_weights(
    source: pathlib.Path, query: Photograph, item: Photograph, method: str
) -> Iterator[_Source]:
    weights = load_weights(source)
    config = _config(weights.architecture.name, rerank=method)
    with tempfile.TemporaryDirectory() as folder:
        reranking = Reranking(config, weights, _NO_PLAN, pathlib.Path(folder))
        yield _Source(reranking, query, [dataclasses.replace(query, box=None), item], 1)


@contextlib.contextmanager
def _of_evaluation(
    source: pathlib.Path, query: Photograph, item: Photograph, method: str
) -> Iterator[_Source]:
    entries, run = read_run(source)
    if is_training(run):
        raise UserError(
            f"{source} is of a training; give {source / 'weights'}, or the workdir of an evaluation"
        )
    config = _config(**{**run.config, "rerank": method})
    weights = load_weights(str(config.weights))
    if run.weights_sha256 != weights.sha256:
        raise UserError(f"{config.weights} are other weights than {source} has evaluated")
    for name in evaluated_names(entries, run):
        plan = EvaluationPlan.from_config({**run.config, "datasets": name})
        [dataset] = plan.datasets
        images, queries = plan.searched(dataset), plan.queries(dataset)
        place = _place(images, item)
        if place is not None:
            of_query = None if query.box is not None else _place(queries, query)
            boxed = query if of_query is None else queries[of_query]
            yield _Source(Reranking(config, weights, plan, source), boxed, images, place)
            return
    raise UserError(
        f"{printable(str(item.path))} is in no database that {source} has searched; name one of "
        f"its photographs, or give the weights folder {config.weights} in place of it"
    )


def _config(model: str, **given: Any) -> config_dict.ConfigDict:
    """That of an evaluation; what is not given, as reports of before may not, has its default."""
    return config_dict.ConfigDict({**vars(EvaluationSettings(model=model)), **given})


def _place(photographs: Sequence[Photograph], wanted: Photograph) -> int | None:
    """The first of the photographs that is in that file."""
    path = wanted.path.resolve()
    for place, photograph in enumerate(photographs):
        # There may be a million of them.
        if photograph.file_name.endswith(path.name) and photograph.path.resolve() == path:
            return place
    return None
