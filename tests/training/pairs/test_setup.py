import copy
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from senet_jax.convert.mapping import extra_tables
from senet_jax.models.cvnet import reranker_params
from senet_jax.models.families.reranker import RERANKER
from senet_jax.training.optimizer import CourseOptimizerSettings, Duration
from senet_jax.training.pairs.settings import PairTrainingSettings
from senet_jax.training.pairs.setup import PairSetup, pair_loss
from senet_jax.training.pairs.triples import PARTS
from senet_jax.weights import flatten
from tests.oracles.cvnet_twin import (
    TRUNK,
    lively_cvnet_weights,
    lively_reranker,
    stage3_of_twin,
)
from tests.oracles.lively_twin import architecture_named, lively_twin, smooth_images
from tests.programs import quickly

TRIPLES = 2


def _triples():
    """Maps of three images each, float64[t c h w] of PyTorch."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(1)
        maps = stage3_of_twin(lively_twin(TRUNK), smooth_images((3 * TRIPLES, 3, 24, 32)))
    return maps.double().chunk(3)


def _gradients_of_twin(anchors, positives, negatives):
    """By autograd, of the mean of both kinds of pairs; under the checkpoint's names."""
    twin = copy.deepcopy(lively_reranker()).double()
    losses = {True: [], False: []}
    for triple in zip(anchors, positives, negatives, strict=True):
        for query, key in itertools.permutations(range(3), 2):
            is_same = 2 not in (query, key)
            logits = twin.logits(triple[query][None], triple[key][None])
            target = torch.tensor([int(is_same)])
            losses[is_same].append(torch.nn.functional.cross_entropy(logits, target))
    loss = (torch.stack(losses[True]).mean() + torch.stack(losses[False]).mean()) / 2
    loss.backward()
    named = {name: parameter.grad.numpy() for name, parameter in twin.named_parameters()}
    return loss.item(), named


@pytest.mark.slow
def test_loss_and_gradients_of_all_weights_are_those_of_autograd():
    parts = _triples()
    loss_of_twin, of_twin = _gradients_of_twin(*parts)
    with jax.enable_x64(True):
        params = reranker_params(lively_cvnet_weights().variables([RERANKER]))
        params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), params)
        maps = [jnp.asarray(part.numpy().transpose(0, 2, 3, 1)) for part in parts]
        differentiate = quickly(jax.value_and_grad(pair_loss, has_aux=True))
        (loss, _), gradients = differentiate(params, *maps)
        ours = {p: np.asarray(g) for p, g in flatten(gradients, f"params/{RERANKER}/")}
    assert loss == pytest.approx(loss_of_twin, rel=1e-6)
    [rows] = extra_tables(architecture_named(TRUNK), "cvnet")
    assert {row.path for row in rows} == set(ours) and {row.key for row in rows} == set(of_twin)
    for row in rows:
        theirs = row.layout.from_torch(of_twin[row.key])
        assert ours[row.path].dtype == np.float64
        difference = np.abs(ours[row.path] - theirs).max()
        assert difference <= 1e-5 * np.abs(theirs).max(), row.key
        assert np.abs(theirs).max() > 0, row.key


@pytest.mark.slow
def test_the_loss_of_a_toy_set_falls_below_that_of_a_guess():
    """Four classes, each a pattern of its own; other noise in every map."""
    rng = np.random.default_rng(0)
    patterns = rng.normal(size=(4, 4, 4, 96))
    optimizer = CourseOptimizerSettings(name="adamw", learning_rate=1e-3, warmup_epochs=0.0)
    settings = PairTrainingSettings(model=TRUNK, start="weights", optimizer=optimizer)
    setup = PairSetup(settings, lively_cvnet_weights(), 4, Duration(total_steps=30))
    step, state, losses = jax.jit(setup.make_step()), setup.initial_state(), []
    for _ in range(setup.duration.total_steps):
        classes = np.stack([rng.permutation(4)[:2] for _ in range(8)])[:, [0, 0, 1]].T
        maps = patterns[classes] + rng.normal(size=(3, 8, 4, 4, 96))
        state, metrics = step(state, dict(zip(PARTS, maps.astype(np.float32), strict=True)))
        losses.append(float(metrics["loss"]))
    assert np.mean(losses[-5:]) < 0.5 * np.log(2) < np.log(2) - 0.2 < losses[0]


def test_what_is_trained_stands_beside_the_frozen_network():
    weights = lively_cvnet_weights()
    settings = PairTrainingSettings(model=TRUNK, start="weights")
    setup = PairSetup(settings, weights, 4, Duration(total_steps=30))
    params = setup.initial_state().params["network"]
    told = {
        "data_found": {"name": "town", "images": 40, "classes": 4},
        "start_found": {"training_set": "village", "training_sets": ["village"]},
    }
    trained = setup.trained(params, told)
    assert set(trained.tensors) == set(weights.tensors)
    for path, tensor in trained.tensors.items():
        is_new = path.startswith(f"params/{RERANKER}/")
        assert is_new or tensor is weights.tensors[path]
    name = f"params/{RERANKER}/mlp_1/kernel"
    assert (trained.tensors[name] == params["mlp_1"]["kernel"]).all()
    assert trained.source["training"] == told and trained.sha256 is None
    assert trained.training_set == "village, then town (40 images of 4 classes)"
