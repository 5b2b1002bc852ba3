"""Every kind of export, of every kind of network, runs on sizes that it never saw."""

import json
import sys

import numpy as np
import pytest
from jax import export

from senet_jax.api import Model
from senet_jax.convert.__main__ import read_source
from senet_jax.export.targets import METADATA, TARGETS
from senet_jax.export.write import pictures
from tests.export.oracle import described
from tests.oracles.lite0 import needs_lite0
from tests.oracles.lively_twin import lively_weights
from tests.tolerances import BATCHED

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
# Landscape and portrait; sides that no stride divides; the smallest side.
SHAPES = [(1, 64, 107), (4, 71, 45), (2, 32, 33)]
SENETS = ("tiny_direct", "tiny_dot", "tiny_concat", "tiny_baseline", "tiny_learnable")


def _program(kind, weights, folder):
    TARGETS[kind].write(folder, weights, '{"made": "here"}')
    assert {path.name for path in folder.iterdir()} == set(TARGETS[kind].files)
    return TARGETS[kind].load(folder)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *[("stablehlo", "tiny_baseline"), ("onnx", "tiny"), ("openvino", "tiny")],
        *[pytest.param("onnx", name, marks=pytest.mark.slow) for name in SENETS],
    ],
)
def test_any_size_is_described_as_pytorch_does(kind, name, tmp_path):
    program = _program(kind, lively_weights(name), tmp_path)
    for shape in SHAPES:
        images = pictures(*shape)
        descriptors = program(images)
        assert descriptors.dtype == np.float32
        away = np.linalg.norm(descriptors - described(name, images), axis=1)
        assert away.max() <= BATCHED


@pytest.mark.slow
@needs_lite0
def test_another_family_is_described_as_by_its_model(tmp_path):
    """It takes RGB, has depthwise convolutions, and its norms stay as they are."""
    weights = read_source("pretrained:lite0")[0]
    program = _program("onnx", weights, tmp_path)
    images = pictures(2, 71, 95)
    ours = Model(weights).describe(images, scales=[1.0])
    assert np.linalg.norm(program(images) - ours, axis=1).max() <= BATCHED
    groups = {
        attribute.i
        for node in onnx.load(tmp_path / "model.onnx").graph.node
        for attribute in node.attribute
        if attribute.name == "group"
    }
    assert len(groups) > 5


def test_stablehlo_is_for_all_devices(tmp_path):
    TARGETS["stablehlo"].write(tmp_path, lively_weights("tiny_baseline"), "")
    content = bytearray((tmp_path / "model.stablehlo").read_bytes())
    assert export.deserialize(content).platforms == ("cpu", "cuda", "tpu")


def test_a_file_of_onnx_says_what_it_is(tmp_path):
    TARGETS["onnx"].write(tmp_path, lively_weights("tiny"), '{"made": "here"}')
    model = onnx.load(tmp_path / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert {entry.key: entry.value for entry in model.metadata_props} == {
        METADATA: '{"made": "here"}'
    }
    (images,), (descriptors,) = model.graph.input, model.graph.output
    sizes = [dim.dim_param or dim.dim_value for dim in images.type.tensor_type.shape.dim]
    assert (images.name, sizes) == ("images", ["batch", "height", "width", 3])
    sizes = [dim.dim_param or dim.dim_value for dim in descriptors.type.tensor_type.shape.dim]
    assert (descriptors.name, sizes) == ("descriptors", ["batch", 128])
    # The channels stay first from one convolution to the next.
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("Conv") == 23 and kinds.count("Transpose") <= 8


def test_openvino_reports_nothing_and_keeps_what_it_is(tmp_path):
    TARGETS["openvino"].write(tmp_path, lively_weights("tiny_baseline"), '{"made": "here"}')
    assert sys.modules["openvino_telemetry"] is None
    import openvino

    said = openvino.Core().read_model(tmp_path / "model.xml").get_rt_info([METADATA]).value
    assert json.loads(said) == {"made": "here"}
