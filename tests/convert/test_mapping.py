import math

import pytest

from senet_jax.convert.mapping import (
    canonical_naming,
    carried_rows,
    extra_tables,
    naming_of,
    table,
)
from senet_jax.convert.twin import Twin
from senet_jax.models.families.resnet import depths_of
from senet_jax.models.registry import ARCHITECTURES
from tests.oracles.cvnet_twin import RerankerTwin
from tests.oracles.lively_twin import architecture_named, lively_twin


def _shapes(architecture, naming):
    """Of the network alone; the keys of a re-ranker that may be beside it are others."""
    rows = [*table(architecture, naming), *carried_rows(architecture, naming)]
    shapes = {row.key: row.shape for row in rows}
    assert len(shapes) == len(rows)
    assert not set(shapes) & {
        row.key for extra in extra_tables(architecture, naming) for row in extra
    }
    return shapes


@pytest.mark.parametrize(
    ("name", "count", "with_reranker"),
    [("r50", 353, 414), ("r101", 659, 720), ("cvnet_r50", 321, 382), ("cvnet_r101", 627, 688)],
)
def test_key_count(name, count, with_reranker):
    architecture = ARCHITECTURES[name]
    naming = canonical_naming(architecture)
    assert len(_shapes(architecture, naming)) == count
    [reranker] = extra_tables(architecture, naming)
    assert count + len(reranker) == with_reranker


@pytest.mark.parametrize("name", [*(n for n in ARCHITECTURES if "tiny" in n), "tiny_classifier"])
def test_names_and_shapes_are_those_of_the_twin(name):
    twin = {key: tuple(tensor.shape) for key, tensor in lively_twin(name).state_dict().items()}
    assert _shapes(architecture_named(name), "authors") == twin


def test_names_and_shapes_in_full_size():
    twin = Twin(ARCHITECTURES["r50"]).state_dict()
    shapes = {key: tuple(tensor.shape) for key, tensor in twin.items()}
    assert _shapes(ARCHITECTURES["r50"], "authors") == shapes
    # The keys that the paper's authors gave what the trunk does not have.
    assert {key for key in shapes if "running" not in key and "num_" not in key} >= {
        "SSM.ch_reduction_encoder.weight",
        "SSM.SSE.conv_in.0.0.bias",
        "SSM.SSE.conv_in.2.1.weight",
        "SSM.SSE.conv1x1_out.0.weight",
        "SSM.SSE.conv1x1_out.1.bias",
        "SSM.FFN.0.weight",
        "SSM.FFN.2.bias",
        "head.fc.weight",
        "stem.conv.weight",
        "s4.b3.f.c_bn.bias",
        "s4.b1.proj.weight",
        "s4.b1.bn.weight",
    }
    assert shapes["SSM.SSE.conv_in.0.0.weight"] == (256, 256, 1, 3, 3)


@pytest.mark.parametrize(("name", "count"), [("cvnet_r50", 35_190_499), ("cvnet_r101", 54_182_627)])
def test_parameters_of_cvnet_with_its_reranker(name, count):
    [reranker] = extra_tables(ARCHITECTURES[name], "cvnet")
    rows = [*table(ARCHITECTURES[name], "cvnet"), *reranker]
    parameters = [row for row in rows if not row.path.startswith("batch_stats/")]
    assert sum(math.prod(row.shape) for row in parameters) == count


def test_reranker_has_the_names_and_shapes_of_the_twin():
    twin = RerankerTwin(1024).state_dict()
    [rows] = extra_tables(ARCHITECTURES["cvnet_r50"], "cvnet")
    assert {row.key: row.shape for row in rows} == {k: tuple(t.shape) for k, t in twin.items()}
    # The keys that the paper's authors gave the two halves of a convolution and its norm.
    assert {"cv_learner.block2.3.conv1.weight", "cv_learner.block2.4.weight"} < set(twin)
    paths, reranker = {row.key: row.path for row in rows}, "params/reranker"
    assert paths["cv_learner.block2.3.conv1.bias"] == f"{reranker}/blocks_1_1/conv/over_query/bias"
    assert (
        paths["cv_learner.block4.6.conv2.weight"] == f"{reranker}/blocks_3_2/conv/over_key/kernel"
    )
    assert paths["cv_learner.block3.7.weight"] == f"{reranker}/blocks_2_2/scale"


def test_namings_are_told_apart():
    assert naming_of(["stem.conv.weight", "s1.b1.f.a.weight"]) == "authors"
    assert naming_of(["encoder_q.stem.conv.weight", "conv2ds.0.weight"]) == "cvnet"
    assert naming_of(["conv1.weight", "fc.bias"]) == "torchvision"
    assert naming_of(["layer1.0.conv1.weight"]) == "torchvision"
    assert naming_of(["embedding.weight"]) == ""


@pytest.mark.parametrize("naming", ["authors", "torchvision"])
def test_depths_are_read_off_the_names(naming):
    keys = [row.key for row in table(ARCHITECTURES["resnet50"], naming)]
    assert depths_of(keys) == (3, 4, 6, 3)
    assert depths_of(["embedding.weight"]) == (0, 0, 0, 0)
