"""Local features of a list of photographs, with a whitening that is fitted to the list."""

import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from senet_jax.data.file_state import file_states
from senet_jax.data.revisitop import Photograph
from senet_jax.features.cache import FULL_SIZE, FeatureCache, read_value
from senet_jax.features.extract import extract_batches, plan_job
from senet_jax.features.networks import LOCAL_WIDTH, LocalNetwork
from senet_jax.features.origin import origin_of_features
from senet_jax.features.runner import Runner
from senet_jax.search.whitening import Whitening, fit_whitening
from senet_jax.system.checksummed import save_arrays
from senet_jax.system.errors import UserError
from senet_jax.system.progress import Progress
from senet_jax.weights import Weights

# How many photographs the whitening is fitted to at most.
FITTED = 64
WHITENINGS = "whitening"


def local_feature_cache(
    weights: Weights, photographs: Sequence[Photograph], folder: str | os.PathLike, limit_bytes: int
) -> FeatureCache:
    """Local features by the network that also describes; see `networks.LocalNetwork`.

    Args:
        weights: of any network with a trunk.
        photographs: the database; the whitening is fitted to some, evenly spread over these.
        folder: where features are kept, and whitenings in a folder below.
        limit_bytes: see `FeatureCache`.

    Raises:
        UserError: none of the photographs can be read, or they have too few active positions.
    """
    network = LocalNetwork(weights.architecture, weights.preprocessing)
    runner = Runner(network, weights.variables())
    typical = photographs[:: -(-len(photographs) // FITTED)]
    origin = origin_of_features(weights, network.settings())
    whitening = kept_whitening(runner, typical, origin, pathlib.Path(folder) / WHITENINGS)
    runner = runner.with_network(dataclasses.replace(network, whitening=whitening))
    origin = origin_of_features(weights, runner.network.settings())
    return FeatureCache(runner, origin, folder, limit_bytes)


def kept_whitening(
    runner: Runner, typical: Sequence[Photograph], origin: Mapping[str, Any], folder: pathlib.Path
) -> Whitening:
    """The whitening for photographs, fitted if it is not in the folder.

    Args:
        runner: gives activations, see `LocalNetwork`.
        typical: what it is fitted to; those that cannot be read are left out.
        origin: how activations are made, as JSON has it.
        folder: where whitenings are kept, by origin and photographs.
    """
    digests = file_states(typical)["digest"].tolist()
    origin = {**origin, "width": LOCAL_WIDTH}
    made_of = json.dumps([origin, digests, [photograph.box for photograph in typical]])
    path = folder / f"{hashlib.sha256(made_of.encode()).hexdigest()}.npz"
    value = read_value(path, frozenset({"mean", "projection", "origin"}))
    if value is not None:
        return Whitening(value["mean"], value["projection"])
    whitening = _fitted(runner, typical)
    save_arrays(path, **vars(whitening), origin=json.dumps(origin))
    return whitening


def _fitted(runner: Runner, typical: Sequence[Photograph]) -> Whitening:
    label = "whitening of local features"
    job = plan_job(runner, typical, FULL_SIZE, label=label, skip_unreadable=True)
    progress = Progress(label, len(typical), "images")
    progress.advance(len(job.unreadable))
    activations: dict[int, np.ndarray] = {}
    for extracted in extract_batches(runner, job, job.plan.batches):
        for row, value in zip(extracted.rows, extracted.values, strict=True):
            if value is not None:
                activations[row] = value["descriptors"]
            progress.advance()
    if not activations:
        raise UserError(
            "no image of the database can be read, so there are no local features; check it"
        )
    samples = np.concatenate([activations[row] for row in sorted(activations)])
    return fit_whitening(samples, min(LOCAL_WIDTH, samples.shape[1], len(samples) - 1))
