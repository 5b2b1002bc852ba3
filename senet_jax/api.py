"""What `import senet_jax` offers: photographs to descriptors, search, and scores.

Every function raises `UserError` for what it is given and cannot use, in one line. Nothing is
printed unless `progress=True` asks for it, and then on standard error.
"""

import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import numpy as np

from senet_jax.data.ground_truth import GroundTruth, load_ground_truth
from senet_jax.data.in_memory import Box, Image, Order, are_many, as_photographs
from senet_jax.features.extract import extract
from senet_jax.features.networks import from_pixels, plain_form
from senet_jax.features.precision import Precision
from senet_jax.features.reader import read_part
from senet_jax.features.runner import Describer
from senet_jax.features.scales import SCALES, scales_of
from senet_jax.features.similarity import similarity
from senet_jax.metrics.protocols import PROTOCOLS
from senet_jax.metrics.report import EvaluationReport, evaluate_descriptors, evaluate_ranks
from senet_jax.models.registry import build_model, describes, output_of
from senet_jax.models.valid_region import WHOLE
from senet_jax.rerank.retrieval import Retrieval, shortlists, similarities
from senet_jax.search.backends import read_backend
from senet_jax.search.database import BlockedDatabase, as_float32, check_descriptors
from senet_jax.search.ranked_list import NO_MORE, RankedList
from senet_jax.search.whitening import Whitening, fit_shrunk_whitening
from senet_jax.system.errors import UserError, shown
from senet_jax.system.files import local_path
from senet_jax.system.progress import Progress
from senet_jax.system.runtime import use_compilation_cache
from senet_jax.weights import Weights, load_weights

__all__ = [
    "EvaluationReport",
    "Found",
    "Model",
    "UserError",
    "Whitening",
    "fit_whitening",
    "load",
    "score",
    "search",
    "similarity",
]

Path: TypeAlias = str | os.PathLike[str]


def load(folder: Path, precision: Precision = "float32") -> "Model":
    """Reads a weights folder, as `senet-jax convert` makes it.

    Compiled programs are kept in the user's cache folder, unless JAX was told of another one.

    Args:
        folder: of weights.
        precision: of the arithmetic when it describes: `float32`; `bfloat16`, which is faster on
            accelerators and less exact; `tf32`, which is in between, and on GPUs alone.

    Raises:
        UserError: there is no weights folder, it is broken, its network does not describe, or the
            precision cannot be had.
    """
    if jax.config.values["jax_compilation_cache_dir"] is None:
        use_compilation_cache()
    return Model(load_weights(local_path(folder)), precision)


class Model:
    """A network that describes photographs.

    Args:
        weights: of the network, see `load`.
        precision: see `load`; its maps are always in float32.

    Attributes:
        name: of the network, `r50` for instance.
        width: how many numbers a descriptor has.
        is_random: whether its weights were never trained.
        stride: how many pixels of an image, along a side, are one position of its last maps; 0
            where its family does not tell it.
        first: the pixel, along a side, at which the first position of these looks.

    Raises:
        UserError: the network is one that does not describe, such as an ImageNet classifier, or
            the precision cannot be had.
    """

    def __init__(self, weights: Weights, precision: Precision = "float32"):
        self.name = weights.architecture.name
        if not describes(weights.architecture):
            raise UserError(
                f"the weights are of {self.name}, which does not describe; give those of SENet or "
                "CVNet-Global"
            )
        self.is_random = weights.random
        self._weights = weights
        self._describer = Describer.of(weights, precision=precision)
        self.width = self._describer.width
        output = output_of(weights.architecture, "global")
        self.stride, self.first = (f(weights.architecture) for f in (output.stride, output.first))

    def __repr__(self) -> str:
        return f"<senet_jax.Model {self.name}, {self.width} numbers a descriptor>"

    def describe(
        self,
        images: Image | Sequence[Image],
        boxes: Sequence[Box | None] | np.ndarray | None = None,
        scales: Sequence[float] | None = None,
        order: Order = "rgb",
        progress: bool = False,
    ) -> np.ndarray:
        """Describes photographs, as the job `evaluate` does.

        All of them in one call are described together, padded to few shapes. The same photographs
        in the same order have the same descriptors to the bit; beside others they differ by
        rounding.

        Args:
            images: one image or many: uint8[h w 3] as it is decoded, or the path of an image file;
                a list of either; or uint8[n h w 3].
            boxes: the part of each image that is described, (x1, y1, x2, y2) in pixels or None for
                all of it; as many as there are images.
            scales: the sizes at which each is described, relative to its own; by default those of
                the authors' evaluation, for SENet 0.7071, 1 and 1.4142.
            order: of the channels of arrays, "rgb" or "bgr"; files know their own.
            progress: show the progress of long work on standard error.

        Returns:
            float32[n d], a row of unit length for each image; also for a single one, n is 1.

        Raises:
            UserError: something given is no image, cannot be read, or is too large for the memory;
                a box, a scale or the order is wrong.
        """
        photographs = as_photographs(images, boxes, order)
        sizes = scales_of(self._weights.architecture) if scales is None else _checked_scales(scales)
        with _shown(progress):
            descriptors, _ = extract(self._describer, photographs, sizes, label="describing")
        return descriptors

    def maps(self, image: Image, box: Box | None = None, order: Order = "rgb") -> dict[str, Any]:
        """What the network makes of one image on the way to its descriptor, at its own scale.

        Args:
            image: uint8[h w 3], or the path of an image file.
            box: the part that is looked at, (x1, y1, x2, y2) in pixels.
            order: of an array's channels, "rgb" or "bgr".

        Returns:
            Name -> float32 array of NumPy. `stem`, `s1` to `s4` [h w c] are the trunk's stages; of
            a network with a self-similarity module `q` [h w c], `self_similarity` [h w u v c],
            `structure` [h w c]; `fused` [h w c], `pooled` [c], and `descriptor` [d], which is not
            of unit length.

        Raises:
            UserError: as `describe`.
        """
        if are_many(image):
            raise UserError("maps are of one image; give uint8[h w 3] or the path of a file")
        (photograph,) = as_photographs(image, None if box is None else [box], order)
        pixels = read_part(photograph).pixels[None]
        found = self._network(self._variables, pixels)
        return {name: np.asarray(values[0]) for name, values in found.items()}

    @functools.cached_property
    def _variables(self) -> Any:
        return jax.device_put(self._weights.variables())

    @functools.cached_property
    def _network(self) -> Callable[[Any, np.ndarray], dict[str, jax.Array]]:
        """From variables and uint8[1 h w 3] BGR to the maps, compiled for each shape."""
        model = build_model(self._weights.architecture, **plain_form())
        apply = from_pixels(model.apply, self._weights.preprocessing)
        return jax.jit(lambda variables, images: apply(variables, images, WHOLE)[1])


def fit_whitening(database: np.ndarray | Sequence[np.ndarray], progress: bool = False) -> Whitening:
    """Learns a whitening of descriptors, without labels; `senet-jax index --whiten` does the same.

    Args:
        database: number[n d], or several such arrays.
        progress: show the progress of long work on standard error.

    Returns:
        What makes whitened rows of rows, number[m d] -> float32[m d]. Give it the database and the
        queries, and search with what it gives.

    Raises:
        UserError: they are no descriptors of one width, too wide, or not finite.
    """
    parts = [database] if isinstance(database, np.ndarray) else list(database)
    for part in parts:
        _check_array(part, "the descriptors")
    with _shown(progress):
        whole = BlockedDatabase(tuple(parts))
        return fit_shrunk_whitening(
            whole, Progress("learning the whitening", whole.size, "rows").advance
        )


class Found(NamedTuple):
    """What a search has found.

    Attributes:
        ranks: int[q k], for each query the items of the database, best first; an item is the index
            of its row, -1 where a backend found no more.
        similarities: float32[q k], their dot products with the query, of descriptors of unit length
            the cosines; NaN where there are no more.
    """

    ranks: np.ndarray
    similarities: np.ndarray


def search(
    queries: np.ndarray,
    database: np.ndarray | Sequence[np.ndarray],
    top: int = 10,
    backend: str = "exact",
    progress: bool = False,
) -> Found:
    """The items of a database that are most similar to each query.

    Args:
        queries: number[q d], as `Model.describe` gives them.
        database: number[n d], or several such arrays, counted on from one to the next; they may be
            memory-mapped or quantised.
        top: how many items to find for each query; of a smaller database, all.
        backend: how, with its settings: `exact`, or `faiss`, `faiss(index=IVF1024,Flat,probes=32)`;
            `senet-jax search.arrays --help` lists them.
        progress: show the progress of long work on standard error.

    Returns:
        Items and similarities, [q min(top, n)]; among equals the lower index is first.

    Raises:
        UserError: they are no descriptors of one width, or not finite, or the backend is not known
            or cannot be had.
    """
    if isinstance(top, bool) or not isinstance(top, int | np.integer) or top < 1:
        raise UserError(f"top is {shown(top)}; give how many items to find, from 1 on")
    parts: list[Any] = list(database) if isinstance(database, list | tuple) else [database]
    for array in (queries, *parts):
        _check_array(array, "descriptors")
    if not parts or not any(map(len, parts)):
        raise UserError("the database holds nothing to search; give number[n d] with n from 1 on")
    blocks = BlockedDatabase(tuple(parts))
    check_descriptors(queries, "the array of queries")
    queries = as_float32(queries)
    blocks.check_queries(queries)
    with _shown(progress):
        index = read_backend(backend).prepare(
            blocks, Progress("indexing", blocks.size, "rows").advance
        )
        searched = Progress("searching", blocks.size, "rows")
        found = index.top_k(queries, int(top), searched.advance)
        return Found(found.ranks, _similarities(Retrieval(queries, blocks, found)))


def _similarities(found: Retrieval) -> np.ndarray:
    """The dot products of queries with what they found: float32[q k], NaN where that has ended."""
    products = np.full(found.ranked.ranks.shape, np.nan, np.float32)
    for some in shortlists(found, found.length):
        of_queries = np.asarray(similarities(some.queries, some.descriptors))
        products[some.rows] = np.where(some.items == NO_MORE, np.nan, of_queries)
    return products


def score(
    ground_truth: GroundTruth | Path,
    queries: np.ndarray | None = None,
    database: np.ndarray | None = None,
    *,
    distractors: Sequence[np.ndarray] = (),
    ranks: np.ndarray | Found | Mapping[str, np.ndarray | Found] | None = None,
    progress: bool = False,
) -> EvaluationReport:
    """Scores descriptors, or ranks, under the protocols Easy, Medium and Hard.

    Args:
        ground_truth: what should be found, or the path of its `gnd_NAME.pkl` or `.json`.
        queries: number[q d], a row for each query of `qimlist`.
        database: number[n d], a row for each image of `imlist`.
        distractors: number[m d] each, which follow the database.
        ranks: in place of descriptors, int[q k] with the items of each query, best first, -1 for no
            more; or such ranks by the protocol's name, `easy`, `medium`, `hard`.
        progress: show the progress of long work on standard error.

    Returns:
        The report: `print(report.table())`, `report.means("medium")`, `report.to_json()`.

    Raises:
        UserError: the ground truth cannot be read, or what is scored does not fit to it.
    """
    if not isinstance(ground_truth, GroundTruth):
        ground_truth = load_ground_truth(local_path(ground_truth))
    if ranks is not None and queries is None and database is None and not distractors:
        return _score_ranks(ground_truth, ranks)
    if ranks is not None or queries is None or database is None:
        raise UserError("give score either queries and database (and distractors), or ranks")
    parts = [database, *distractors]
    for array in (queries, *parts):
        _check_array(array, "descriptors")
    if len(database) != len(ground_truth.image_names):
        raise UserError(
            f"the database has {len(database)} rows for {len(ground_truth.image_names)} images; "
            "every image of imlist has one"
        )
    with _shown(progress):
        return evaluate_descriptors(ground_truth, queries, parts)


def _score_ranks(
    truth: GroundTruth, ranks: np.ndarray | Found | Mapping[str, np.ndarray | Found]
) -> EvaluationReport:
    if not isinstance(ranks, Mapping):
        return evaluate_ranks(truth, _ranked_list(truth, ranks))
    names = [protocol.name for protocol in PROTOCOLS]
    if set(ranks) != set(names):
        raise UserError(f"ranks are of {shown(list(ranks))}; give those of {', '.join(names)}")
    return evaluate_ranks(truth, {name: _ranked_list(truth, ranks[name]) for name in names})


def _ranked_list(truth: GroundTruth, ranks: np.ndarray | Found) -> RankedList:
    array = ranks.ranks if isinstance(ranks, Found) else ranks
    _check_array(array, "ranks")
    return RankedList.of_queries(array, len(truth.query_names), len(truth.image_names))


def _checked_scales(scales: Sequence[float]) -> tuple[float, ...]:
    values = tuple(scales) if isinstance(scales, list | tuple | np.ndarray) else ()
    if not values or not all(_is_scale(value) for value in values):
        raise UserError(
            f"scales are {shown(scales)}; give some numbers from 0.01 to 16, such as {SCALES}"
        )
    return tuple(map(float, values))


def _is_scale(value: Any) -> bool:
    is_number = isinstance(value, int | float | np.integer | np.floating)
    return is_number and not isinstance(value, bool) and bool(0.01 <= value <= 16)


def _check_array(array: Any, what: str) -> None:
    if not isinstance(array, np.ndarray):
        raise UserError(f"{what} are of the type {type(array).__name__}; give a NumPy array")
    if not array.ndim:
        raise UserError(f"{what} are a single number; give an array with a row for each image")


@contextlib.contextmanager
def _shown(progress: bool) -> Iterator[None]:
    """Shows no progress of what is within, unless it is asked for."""
    former = Progress.quiet
    Progress.quiet = former or not progress
    try:
        yield
    finally:
        Progress.quiet = former
