"""The public API on tiny networks: what it gives, and what it refuses."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest

import senet_jax
from senet_jax import UserError
from senet_jax import main as main_module
from senet_jax.data.revisitop import read_image
from senet_jax.models.preprocessing import Preprocessing
from senet_jax.models.registry import find_architecture
from senet_jax.system import progress as progress_module
from senet_jax.system import runtime
from senet_jax.system.progress import Progress
from senet_jax.weights import Weights, save_weights, tensor_shapes
from tests.data.pictures import encoded, picture, write_dataset
from tests.oracles.lively_twin import lively_weights
from tests.tolerances import BFLOAT16_COSINE

REPOSITORY = pathlib.Path(__file__).parents[1]
SHAPES = {"a": (40, 48), "b": (48, 40), "c": (33, 48), "q": (40, 48), "r": (46, 40)}
BOXES = [(3.5, 2, 48, 40), (0, 5, 40, 46)]
SCALES = (0.7071, 1.0)
ROUNDING = 2e-6
"""Of a number of a descriptor, between images that are padded alike and others."""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Two weights folders and a dataset `town` of five photographs."""
    root = tmp_path_factory.mktemp("api")
    for name in ("tiny", "tiny_baseline"):
        save_weights(root / name, lively_weights(name))
    write_dataset(root, "town", boxes=BOXES)
    folder = root / "town" / "jpg"
    folder.mkdir(parents=True, exist_ok=True)
    for name, shape in SHAPES.items():
        content = encoded(picture(*shape, seed=ord(name)))
        (folder / f"{name}.jpg").write_bytes(content)
    return root


@pytest.fixture(scope="module")
def model(root):
    return senet_jax.load(root / "tiny_baseline")


@pytest.fixture(scope="module")
def looking(root):
    """A model with a self-similarity module."""
    return senet_jax.load(root / "tiny")


@pytest.fixture
def paths(root):
    return [root / "town" / "jpg" / f"{name}.jpg" for name in SHAPES]


@pytest.fixture
def pixels(paths):
    """The photographs as uint8[h w 3] BGR."""
    return [read_image(path) for path in paths]


def test_a_model_describes_in_another_precision(root, model, paths):
    near = senet_jax.load(root / "tiny_baseline", precision="bfloat16")
    [exact], [rounded] = (each.describe(paths[0], scales=(1.0,)) for each in (model, near))
    assert BFLOAT16_COSINE <= np.dot(exact, rounded) < 1 - ROUNDING
    with pytest.raises(UserError, match="precision is 'half'; give one of float32, tf32, bfloat16"):
        senet_jax.load(root / "tiny_baseline", precision="half")


def test_a_model_says_what_it_is(model):
    assert (model.name, model.width, model.is_random) == ("tiny_baseline", 128, False)
    assert repr(model) == "<senet_jax.Model tiny_baseline, 128 numbers a descriptor>"


def test_files_and_arrays_of_either_order_are_the_same_to_the_bit(model, paths, pixels, capfd):
    described = model.describe(paths, scales=(1,))
    assert described.shape == (5, 128) and described.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(described, axis=1), 1, rtol=1e-6)
    rgb = [image[..., ::-1] for image in pixels]  # Not contiguous.
    for images in (list(map(str, paths)), tuple(map(np.ascontiguousarray, rgb)), rgb):
        np.testing.assert_array_equal(model.describe(images, scales=(1,)), described)
    np.testing.assert_array_equal(model.describe(pixels, scales=(1,), order="bgr"), described)
    assert not np.allclose(model.describe(pixels, scales=(1,)), described, atol=1e-2)
    assert capfd.readouterr() == ("", "")


def test_one_image_is_a_row_and_an_array_of_four_dimensions_is_many(model, paths, pixels):
    one = model.describe(paths[0], scales=[1.0])
    assert one.shape == (1, 128)
    for image in (pixels[0], pixels[0][None]):
        np.testing.assert_array_equal(model.describe(image, scales=[1], order="bgr"), one)
    many = model.describe(np.stack([pixels[0], pixels[3]]), scales=[1.0], order="bgr")
    np.testing.assert_array_equal(model.describe([paths[0], paths[3]], scales=[1.0]), many)


def test_a_box_is_the_part_within(model, paths, pixels):
    boxes = [(3.9, 2, 45, 38), None]
    boxed = model.describe([paths[0], paths[1]], boxes=boxes, scales=(1,))
    cut = [pixels[0][2:38, 3:45], pixels[1]]
    np.testing.assert_array_equal(model.describe(cut, scales=(1,), order="bgr"), boxed)
    arrays = model.describe(pixels[:1], np.array(boxes[:1]), scales=(1,), order="bgr")
    np.testing.assert_allclose(arrays, boxed[:1], atol=ROUNDING)


@pytest.fixture
def evaluated(root, tmp_path, monkeypatch, run_command_here):
    """The workdir of the job `evaluate` on the same photographs."""
    monkeypatch.setattr(runtime, "tune_for_inference", lambda: None)
    flags = [
        "--config=evaluate:tiny_baseline",
        f"--workdir={tmp_path}",
        f"--config.weights={root / 'tiny_baseline'}",
        f"--config.data_root={root}",
        "--config.datasets=town",
        f"--config.scales={SCALES}",
    ]
    done = run_command_here(lambda: main_module.main(["main", *flags]))
    assert done.returncode == 0, done.stderr
    return tmp_path


@pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")
def test_the_descriptors_and_the_scores_are_those_of_the_evaluate_job(
    model, root, paths, pixels, evaluated
):
    """To the bit: the same photographs in the same order."""
    queries = model.describe(paths[3:], boxes=BOXES, scales=SCALES)
    database = model.describe(pixels[:3], scales=SCALES, order="bgr")
    folder = evaluated / "descriptors" / "town"
    np.testing.assert_array_equal(queries, np.load(folder / "query.npy"))
    np.testing.assert_array_equal(database, np.load(folder / "database.npy"))
    report = senet_jax.score(root / "town" / "gnd_town.pkl", queries, database)
    assert isinstance(report, senet_jax.EvaluationReport)
    town = json.loads((evaluated / "report.json").read_text())["town"]
    assert json.loads(json.dumps(report.to_json())) == town


def test_beside_other_photographs_a_descriptor_differs_by_rounding(model, paths):
    together = model.describe(paths, scales=(1,))
    alone = np.concatenate([model.describe(path, scales=(1,)) for path in paths])
    np.testing.assert_allclose(alone, together, atol=ROUNDING)


REFUSED = {
    "floats": (np.zeros((8, 9, 3), np.float32), r"image 0 is float32\[8, 9, 3\], not uint8"),
    "channels first": (np.zeros((3, 8, 9), np.uint8), "with its channels first; move them last"),
    "grey": (np.zeros((8, 9), np.uint8), "without channels; stack a grey image three times"),
    "one grey channel": (np.zeros((8, 9, 1), np.uint8), r"not \[height width 3\]"),
    "alpha": (np.zeros((8, 9, 4), np.uint8), r"with a fourth channel; leave it out"),
    "a row": (np.zeros(9, np.uint8), r"uint8\[9\], not one image"),
    "a number": (np.array(9, np.uint8), r"uint8\[\], not one image"),
    "five dimensions": (np.zeros((1, 1, 8, 9, 3), np.uint8), "not one image"),
    "grey images": (np.zeros((2, 8, 9, 1), np.uint8), r"image 0 is uint8\[8, 9, 1\]"),
    "no pixel": (np.zeros((0, 9, 3), np.uint8), "which is empty"),
    "the second": ([np.zeros((8, 9, 3), np.uint8), np.zeros((8, 9))], "image 1 is float64"),
    "no image": ([], "there is no image to describe"),
    "none of many": (np.zeros((0, 8, 9, 3), np.uint8), "there is no image to describe"),
    "mixed": ([np.zeros((8, 9, 3), np.uint8), "a.jpg"], "arrays and paths mixed"),
    "a list of numbers": ([[0, 1]], "image 0 is of the type list; give a NumPy array"),
    "none": (None, "image 0 is of the type NoneType"),
    "an array of JAX": (jax.numpy.zeros((8, 9, 3)), "image 0 is of the type ArrayImpl"),
    "no file": ("nowhere.jpg", r"cannot read the image nowhere.jpg: No such file"),
    "a folder": ("/", "cannot read the image /: Is a directory"),
    "no text": ("", "the path is ''"),
    "far away": ("gs://bucket/a.jpg", "is no path of this machine"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_image_is_refused_and_not_described(model, kind, capfd):
    images, message = REFUSED[kind]
    with pytest.raises(UserError, match=message) as refused:
        model.describe(images)
    assert "\n" not in str(refused.value)
    with pytest.raises(UserError):
        model.maps(images)
    assert capfd.readouterr() == ("", "")


IMAGE = np.zeros((8, 9, 3), np.uint8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"boxes": []}, r"boxes are \[\] for 1 images"),
        ({"boxes": [None, None]}, "for 1 images; give"),
        ({"boxes": (1, 2, 3, 4)}, r"boxes are \(1, 2, 3, 4\) for 1 images"),
        ({"boxes": 3}, "boxes are 3 for 1 images"),
        ({"boxes": [(1, 2, 3)]}, r"the box of image 0 is \(1, 2, 3\); a box is four numbers"),
        ({"boxes": [(1, 2, 3, float("nan"))]}, "a box is four numbers"),
        ({"boxes": ["1234"]}, "the box of image 0 is '1234'"),
        ({"boxes": [(5, 2, 3, 4)]}, "image 0: the box .* is inverted, the image is 9x8"),
        ({"boxes": [(20, 2, 30, 4)]}, "image 0: the box .* is outside, the image is 9x8"),
        ({"scales": ()}, r"scales are \(\); give some numbers from 0.01 to 16"),
        ({"scales": 1.0}, "scales are 1.0"),
        ({"scales": (0,)}, r"scales are \(0,\)"),
        ({"scales": (float("inf"),)}, "scales are"),
        ({"scales": ("1",)}, "scales are"),
        ({"order": "RGB"}, "order is 'RGB'; give 'rgb' or 'bgr'"),
    ],
)
def test_a_wrong_option_is_refused(model, options, message):
    with pytest.raises(UserError, match=message) as refused:
        model.describe(IMAGE, **options)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_no_image_is_named(model, paths, tmp_path):
    (tmp_path / "text.jpg").write_text("this is no picture")
    with pytest.raises(UserError, match=r"text\.jpg: its 18 bytes are no image"):
        model.describe([paths[0], tmp_path / "text.jpg"])


def test_progress_is_shown_where_it_is_asked_for(model, paths, capfd, monkeypatch):
    monkeypatch.setattr(progress_module, "_LOG_SECONDS", (0.0,))
    model.describe(paths[:2], scales=(1,))
    assert capfd.readouterr().err == ""
    model.describe(paths[:2], scales=(1,), progress=True)
    assert "describing: 2/2 images" in capfd.readouterr().err
    with pytest.raises(UserError):
        model.describe("nowhere.jpg")
    assert not Progress.quiet


def test_the_defaults_are_those_of_the_evaluate_config():
    from configs import evaluate
    from senet_jax import api

    assert tuple(evaluate.get_config().scales) == api.SCALES


NAMES = ["stem", "s1", "s2", "s3", "s4", "q", "self_similarity", "structure", "fused", "pooled"]


def test_the_maps_of_an_image(looking, paths, pixels):
    maps = looking.maps(paths[0])
    assert sorted(maps) == sorted([*NAMES, "descriptor"])
    assert {type(values) for values in maps.values()} == {np.ndarray}
    assert maps["s4"].shape == maps["fused"].shape == maps["structure"].shape == (5, 6, 128)
    assert maps["q"].shape == (5, 6, 16) and maps["self_similarity"].shape == (5, 6, 5, 5, 16)
    assert maps["pooled"].shape == maps["descriptor"].shape == (128,)
    unit = maps["descriptor"] / np.linalg.norm(maps["descriptor"])
    np.testing.assert_allclose(unit, looking.describe(paths[0], scales=(1,))[0], atol=ROUNDING)
    for name, values in looking.maps(pixels[0][..., ::-1]).items():
        np.testing.assert_array_equal(values, maps[name])
    boxed = looking.maps(pixels[1], box=(0, 5, 48, 45), order="bgr")
    assert boxed["s4"].shape == (5, 5, 128)


@pytest.mark.parametrize("images", [[IMAGE], np.stack([IMAGE] * 2), ["a.jpg"]])
def test_maps_are_of_one_image(model, images):
    with pytest.raises(UserError, match="maps are of one image"):
        model.maps(images)


def test_similarities_of_all_positions_of_two_images(looking, paths):
    a, b = looking.maps(paths[0]), looking.maps(paths[3])
    alike = senet_jax.similarity(a, b)
    assert list(alike) == ["s4", "structure", "fused"]
    for name, cosines in alike.items():
        assert cosines.shape == (*a[name].shape[:2], *b[name].shape[:2])
        one, other = a[name][1, 2], b[name][3, 4]
        cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
        np.testing.assert_allclose(cosines[1, 2, 3, 4], cosine, rtol=1e-5)
    itself = senet_jax.similarity(a, a)["fused"]
    np.testing.assert_allclose(np.einsum("hwhw->hw", itself), 1, rtol=1e-5)
    without = {name: values for name, values in a.items() if name != "structure"}
    assert list(senet_jax.similarity(without, b)) == ["s4", "fused"]


@pytest.mark.parametrize(
    ("b", "message"),
    [
        ({}, "no map in common of s4, head, structure, fused"),
        ({"s4": np.ones((2, 2, 4))}, r"the maps s4 are \[2, 2, 3\] and \[2, 2, 4\]; give those of"),
        ({"s4": np.ones(3)}, "give those of one network"),
    ],
)
def test_maps_that_cannot_be_compared(b, message):
    with pytest.raises(UserError, match=message):
        senet_jax.similarity({"s4": np.ones((2, 2, 3))}, b)


def test_a_map_of_zeros_is_like_nothing():
    zeros, ones = np.zeros((1, 1, 3), np.float32), np.ones((1, 1, 3), np.float32)
    assert senet_jax.similarity({"s4": zeros}, {"s4": ones})["s4"] == 0


def test_weights_that_do_not_describe_are_refused(tmp_path):
    trunk = find_architecture("resnet50")
    narrow = {"stem_width": 4, "stage_widths": (4,) * 4, "depths": (1,) * 4, "outputs": 3}
    classifier = dataclasses.replace(trunk, name="trunk", **narrow)
    shapes = tensor_shapes(classifier)
    tensors = {path: np.ones(shape, np.float32) for path, shape in shapes.items()}
    save_weights(tmp_path / "trunk", Weights(classifier, Preprocessing(), tensors, {}, {}))
    with pytest.raises(UserError, match="the weights are of trunk, which does not describe"):
        senet_jax.load(tmp_path / "trunk")


@pytest.mark.parametrize("folder", ["nowhere", "gs://bucket/a", ""])
def test_no_weights_folder(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError):
        senet_jax.load(folder)


DESCRIBE = """
import sys
import numpy as np
import senet_jax
weights, out, *paths = sys.argv[1:]
np.save(out, senet_jax.load(weights).describe(paths, scales=(1.0,)))
"""


@pytest.mark.slow
def test_a_notebook_without_flags_has_the_programs_of_the_commands(root, paths, tmp_path):
    """And so the same descriptors to the bit, though it sets nothing for the whole process."""
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    weights = str(root / "tiny_baseline")
    flags = ["--config=evaluate:tiny_baseline", f"--workdir={tmp_path / 'run'}"]
    flags += [f"--config.weights={weights}", f"--config.data_root={root}"]
    flags += ["--config.datasets=town", "--config.scales=(1.0,)"]
    out = tmp_path / "described.npy"
    for arguments in (
        ["-m", "senet_jax", "main", *flags],
        ["-c", DESCRIBE, weights, str(out), *map(str, paths[:3])],
    ):
        command = [sys.executable, *arguments]
        done = subprocess.run(
            command, cwd=REPOSITORY, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    of_job = np.load(tmp_path / "run" / "descriptors" / "town" / "database.npy")
    np.testing.assert_array_equal(np.load(out), of_job)
