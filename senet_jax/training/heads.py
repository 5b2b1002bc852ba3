"""The job `train_head`: trains what follows a trunk, on maps of the trunk, which stays as it is.

A head begins as the identity: its descriptors are those of the pooled maps alone. Photographs of
some classes may be validated on; then the head of the best step is kept, which may be that of step
0, else that of the last.

In the workdir it leaves `metrics.jsonl`, `weights/` of the whole network and `report.json` with the
validation. A training that was ended begins anew; it takes a minute or two.
"""

import contextlib
import dataclasses
import json
import pathlib
import time
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import config_dict

from senet_jax.config import names, read
from senet_jax.data.builder import REPORT_FILE
from senet_jax.data.ground_truth import GroundTruth
from senet_jax.data.image_folder import image_folder
from senet_jax.data.image_source import ImageSource
from senet_jax.data.prepared import open_prepared
from senet_jax.data.sampling import ClassMembers, Purpose, random_generator
from senet_jax.losses.loss import Dimensions
from senet_jax.metrics.evaluation_report import EvaluationReport
from senet_jax.metrics.report import evaluate_descriptors
from senet_jax.models.layers import l2_normalise
from senet_jax.models.registry import (
    build_model,
    family_of,
    find_architecture,
    initial_variables,
)
from senet_jax.models.settings import Settings
from senet_jax.system.errors import UserError, shown
from senet_jax.system.files import sha256_of_file
from senet_jax.system.process import interruptible, locked_workdir
from senet_jax.system.progress import Progress
from senet_jax.system.runtime import use_compilation_cache
from senet_jax.training.export import WEIGHTS, found_of_start, trained_on
from senet_jax.training.final_report import write_final_report
from senet_jax.training.head_settings import HeadSettings
from senet_jax.training.kept_maps import kept_maps
from senet_jax.training.metrics import MetricsWriter
from senet_jax.training.optimizer import Duration, make_optimizer, map_with_path
from senet_jax.training.settings import StepSettings
from senet_jax.training.state import TrainState, create_state
from senet_jax.training.step import Batch, make_step
from senet_jax.weights import (
    TENSORS,
    Weights,
    flatten,
    load_weights,
    save_weights,
    tensor_shapes,
)

VALIDATION = "validation"
_QUERIES, _OTHERS = 2, 8
"""Of the photographs that are held out, and of those that are trained on, one in so many is in the
validation."""
_DESCRIBED_AT_ONCE = 32


def train_head(config: config_dict.ConfigDict, workdir: pathlib.Path) -> None:
    """Runs the job; see the module.

    Raises:
        UserError: a setting, a file or a place to write is not as it has to be.
    """
    use_compilation_cache()

    def saved() -> str:
        return "nothing is kept of the head; the same command begins anew"

    with locked_workdir(workdir), interruptible(saved):
        _train(config, workdir)


def _train(config: config_dict.ConfigDict, workdir: pathlib.Path) -> None:
    told = read(HeadSettings, config)
    weights, architecture = load_weights(told.start), find_architecture(told.model)
    check_trunk(weights, architecture)
    source = _photographs(told.data.images)
    held_out = _held_out(source, told)
    maps = kept_maps(source, weights, _trunk_maps(architecture), told.data)

    start = time.monotonic()
    with contextlib.closing(MetricsWriter(workdir, -1)) as metrics:
        best = _best_head(told, architecture, source, held_out, maps, metrics)
    settings = json.loads(config.to_json_best_effort()) | {
        "data_found": {
            "name": source.name,
            "images": int(np.count_nonzero(~held_out)),
            "classes": len(source.class_names) - len(names(told.held_out)),
        },
        "start_found": found_of_start(weights),
    }
    trained = with_head(weights, architecture, best.variables, settings | {"step": best.step})
    save_weights(workdir / WEIGHTS, trained)
    write_final_report(
        workdir,
        settings=settings,
        weights_sha256=sha256_of_file(workdir / WEIGHTS / TENSORS),
        step=best.step,
        training_set=trained.training_set,
        classes=settings["data_found"]["classes"],
        seconds=time.monotonic() - start,
        reports={str(step): {VALIDATION: r.to_json()} for step, r in best.reports.items()},
    )
    print(f"wrote {workdir / WEIGHTS}: the head of step {best.step} of {told.steps}")


def check_trunk(weights: Weights, architecture: Settings) -> None:
    """Checks that weights hold the trunk of a network, which has more; so may they.

    Raises:
        UserError: they do not, or there is nothing behind the trunk that learns.
    """
    _trunk_maps(architecture)
    shapes = {path: tensor.shape for path, tensor in weights.tensors.items()}
    whole = tensor_shapes(architecture)
    needed = _of_trunk(whole)
    if len(needed) == len(whole):
        raise _not_alone(architecture)
    same_kind = isinstance(architecture, type(weights.architecture))
    if not same_kind or any(shapes.get(path) != shape for path, shape in needed.items()):
        raise UserError(
            f"config.start holds {weights.architecture.name}, which has not the trunk of "
            f"{architecture.name}, config.model; convert pretrained:lite0 for the heads of lite0"
        )


def _of_trunk(variables: Mapping[str, Any]) -> dict[str, Any]:
    return {path: leaf for path, leaf in variables.items() if path.split("/")[1] == "trunk"}


def _trunk_maps(architecture: Settings) -> str:
    """The name of the maps that a network's head is on."""
    name = family_of(architecture).trunk_maps
    if name is None:
        raise _not_alone(architecture)
    return name(architecture)


def _not_alone(architecture: Settings) -> UserError:
    return UserError(
        f"config.model is {architecture.name}, whose head is not trained alone; name one such as "
        "lite0_channel_wise or early_lite0_channel_wise"
    )


def _photographs(folder: str) -> ImageSource:
    is_prepared = (pathlib.Path(folder) / REPORT_FILE).is_file()
    return open_prepared(folder).as_source() if is_prepared else image_folder(folder)


def _held_out(source: ImageSource, told: HeadSettings) -> np.ndarray:
    """Which photographs are of classes that are validated on: bool[n]."""
    held_out = names(told.held_out)
    for name in held_out:
        if name not in source.class_names:
            raise UserError(
                f"config.held_out names {shown(name)}, and {told.data.images} has the classes "
                f"{', '.join(map(shown, source.class_names[:8]))}; name some of these"
            )
    found = np.isin(source.labels, [source.class_names.index(name) for name in held_out])
    if np.count_nonzero(~found) < told.batch_size:
        raise UserError(
            f"{np.count_nonzero(~found)} photographs in {told.data.images} are not held out, too "
            f"few for config.batch_size {told.batch_size}; give a smaller one"
        )
    return found


def initial_head(architecture: Settings, channels: int, seed: int) -> dict[str, Any]:
    """Variables of a head that gives what the pooled maps give alone.

    The maps are not negative, so that two layers with a ReLU between them can be the identity; the
    structure is not added, for the gain of its last norm is 0; stacked it would be summed. A layer
    that makes the maps narrower before is random.

    Args:
        architecture: of the network.
        channels: of the maps.
        seed: of what is random.
    """
    model = build_model(architecture, from_maps=True)
    variables = initial_variables(model, seed, jnp.zeros((1, 8, 8, channels)))

    def begin(path: str, leaf: jax.Array) -> jax.Array:
        layer, name = path.split("/")[-2:]
        if layer in ("fuse_0", "fuse_1", "fc"):
            if name == "bias":
                return jnp.zeros_like(leaf)
            inputs, outputs = leaf.shape[-2:]
            return jnp.tile(jnp.eye(outputs), (inputs // outputs, 1)).reshape(leaf.shape)
        return jnp.zeros_like(leaf) if (layer, name) == ("expand_bn", "scale") else leaf

    params = map_with_path(begin, variables["params"])
    return {"params": params, "batch_stats": variables.get("batch_stats", {})}


def with_head(
    trunk: Weights, architecture: Settings, head: Mapping[str, Any], settings: Mapping[str, Any]
) -> Weights:
    """The weights of a whole network: a trunk's, and a head's variables.

    Args:
        trunk: of a network that has the trunk of the whole; see `check_trunk`.
        architecture: of the whole.
        head: `params` and `batch_stats`.
        settings: by which the head was trained.
    """
    note = {key: trunk.source[key] for key in ("note",) if key in trunk.source}
    tensors = {path: trunk.tensors[path] for path in _of_trunk(tensor_shapes(architecture))}
    tensors |= dict(flatten(jax.tree.map(np.asarray, dict(head))))
    return dataclasses.replace(
        trunk,
        architecture=architecture,
        tensors=tensors,
        source={"training": settings, "trunk": dict(trunk.source), **trained_on(settings), **note},
        sha256=None,
    )


@dataclasses.dataclass(frozen=True)
class _Best:
    """The best head.

    Attributes:
        step: after which it was there.
        variables: of the head.
        reports: of the validations, by step.
    """

    step: int
    variables: dict[str, Any]
    reports: dict[int, EvaluationReport]


def _best_head(
    told: HeadSettings,
    architecture: Settings,
    source: ImageSource,
    held_out: np.ndarray,
    maps: np.ndarray,
    metrics: MetricsWriter,
) -> _Best:
    losses = told.weighed_losses()
    optimizer = make_optimizer(told.optimizer, Duration(told.steps, told.warmup_steps))
    rows = np.flatnonzero(~held_out)
    classes, labels = np.unique(source.labels[rows], return_inverse=True)
    dimensions = Dimensions(len(classes), architecture.outputs, told.seed)
    variables = initial_head(architecture, maps.shape[-1], told.seed)
    state = create_state(variables, optimizer, losses, dimensions)
    step = jax.jit(
        make_step(
            architecture,
            optimizer,
            losses,
            StepSettings(),
            class_count=len(classes),
            clip_norm=told.optimizer.clip_norm,
            from_maps=True,
        )
    )
    validate = _Validation(architecture, source, held_out, maps) if held_out.any() else None
    reports = {0: validate(variables)} if validate else {}
    best = _Best(0, variables, reports)
    pairs = any(loss.pairs for loss in losses)
    batches = _batches(maps, rows, labels.astype(np.int32), told, pairs)
    progress = Progress("head", told.steps, "steps")
    for number in range(1, told.steps + 1):
        state, values = step(state, next(batches))
        progress.advance(1)
        found = {name: float(value) for name, value in values.items()}
        if number % told.validate_every_steps == 0 or number == told.steps:
            variables = _head_of(state)
            if validate is None:
                best = _Best(number, variables, reports)
            else:
                reports[number] = validate(variables)
                found["validation"] = _score(reports[number])
                if found["validation"] > _score(reports[best.step]):
                    best = _Best(number, variables, reports)
        metrics.write(number, found)
    return best


def _head_of(state: TrainState) -> dict[str, Any]:
    return {"params": state.params["network"], "batch_stats": state.batch_stats}


def _score(report: EvaluationReport) -> float:
    return float(report.means("medium")[0])


def _batches(
    maps: np.ndarray, rows: np.ndarray, labels: np.ndarray, told: HeadSettings, pairs: bool
) -> Iterator[Batch]:
    """Views of photographs without end: each photograph once before the first comes again.

    Args:
        maps: float16[n v h w c].
        rows: int64[k], which photographs there are.
        labels: int32[k], of these.
        told: the seed and the size of a batch.
        pairs: whether each has a partner, a view of another photograph of its class.
    """
    rng = np.random.default_rng(told.seed)
    rng_of_partners = random_generator(told.seed, Purpose.POSITIVE)
    members = ClassMembers(labels, 1 + int(labels.max()))

    def views_of(chosen: np.ndarray, rng: np.random.Generator) -> jax.Array:
        views = rng.integers(maps.shape[1], size=len(chosen))
        return jnp.asarray(maps[rows[chosen], views].astype(np.float32))

    while True:
        order = rng.permutation(len(rows))
        for first in range(0, len(order) - told.batch_size + 1, told.batch_size):
            chosen = order[first : first + told.batch_size]
            batch = {"images": views_of(chosen, rng), "labels": jnp.asarray(labels[chosen])}
            if pairs:
                partners = [
                    members.partner(int(index), int(labels[index]), rng_of_partners)
                    for index in chosen
                ]
                batch["positives"] = views_of(np.array(partners), rng_of_partners)
            yield batch


class _Validation:
    """How well photographs of landmarks that are not trained on are found, by each of them.

    They are searched among themselves and some that are trained on; a query's own one is junk.
    """

    def __init__(
        self, architecture: Settings, source: ImageSource, held_out: np.ndarray, maps: np.ndarray
    ):
        queries, others = np.flatnonzero(held_out)[::_QUERIES], np.flatnonzero(~held_out)[::_OTHERS]
        rows = np.concatenate([queries, others])
        labels = source.labels[rows]
        alike = [np.flatnonzero(labels == label) for label in labels[: len(queries)]]
        junk = [np.array([own]) for own in range(len(queries))]
        keys = tuple(source.keys[int(row)] for row in rows)
        self._truth = GroundTruth(
            image_names=keys,
            query_names=keys[: len(queries)],
            easy=tuple(np.setdiff1d(a, own) for a, own in zip(alike, junk, strict=True)),
            hard=tuple(np.zeros(0, np.int64) for _ in queries),
            junk=tuple(junk),
        )
        self._maps, self._rows = maps, rows
        model = build_model(architecture, from_maps=True)
        self._describe = jax.jit(lambda variables, x: l2_normalise(model.apply(variables, x)[0]))

    def __call__(self, variables: dict[str, Any]) -> EvaluationReport:
        count = len(self._rows)
        # The last ones fill their program with the first.
        filled = np.resize(self._rows, (-(-count // _DESCRIBED_AT_ONCE), _DESCRIBED_AT_ONCE))
        found = [
            np.asarray(self._describe(variables, self._maps[some, 0].astype(np.float32)))
            for some in filled
        ]
        descriptors = np.concatenate(found)[:count]
        queries = descriptors[: len(self._truth.query_names)]
        return evaluate_descriptors(self._truth, queries, [descriptors])
