import dataclasses
import os

import jax
import numpy as np
import pytest
import torch

from senet_jax.data.revisitop import Photograph
from senet_jax.data.transforms import UnreadableImage
from senet_jax.features import origin
from senet_jax.rerank.maps import MapCache, MapNetwork
from senet_jax.system.errors import UserError
from tests.data.pictures import encoded, picture
from tests.oracles import pyramid
from tests.oracles.cvnet_twin import TRUNK, lively_cvnet_weights, lively_reranker, stage3_of_twin
from tests.oracles.lively_twin import lively_twin, lively_weights
from tests.tolerances import TIMES_THE_TWIN

MAP_BYTES = 3 * 2 * 3 * 256 * 4
LIMIT = 10**9


class _Counted:
    """In place of a network: maps of an image of 24x32 that tell its mean colour."""

    key = "a network"

    def __init__(self):
        self.runs = 0

    def __call__(self, image):
        self.runs += 1
        return np.full((3, 2, 3, 256), image.mean() / 3, np.float32)


def _photograph(folder, seed=0, **options):
    (folder / f"{seed}.png").write_bytes(encoded(picture(24, 32, seed=seed), ".png"))
    return Photograph(folder, f"{seed}.png", **options)


def _cache(tmp_path, network=None, limit_bytes=LIMIT, **options):
    return MapCache(network or _Counted(), tmp_path / "maps", limit_bytes, **options)


def _files(tmp_path):
    return sorted((tmp_path / "maps").iterdir())


@pytest.mark.parametrize("backend", ["cpu", "gpu"])  # They have forms of their own.
@pytest.mark.parametrize("shape", [(128, 192), (37, 61), (5, 9)])
def test_maps_of_the_network_are_as_near_to_float64_as_the_twins(shape, backend, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    image = picture(*shape)
    ours = MapNetwork(lively_cvnet_weights())(image)
    theirs, exact = (_maps_of_twin(image, dtype) for dtype in (torch.float32, torch.float64))
    assert ours.shape == exact.shape and ours.dtype == np.float32
    assert np.linalg.norm(ours - exact) <= TIMES_THE_TWIN * np.linalg.norm(theirs - exact)


def _maps_of_twin(image, dtype):
    pixels = torch.from_numpy(image.copy()).to(dtype) / 255
    pixels = (pixels - torch.tensor(pyramid.MEAN, dtype=dtype)) / torch.tensor(
        pyramid.STD, dtype=dtype
    )
    trunk, reranker = lively_twin(TRUNK), lively_reranker()
    try:
        with torch.no_grad():
            stage3 = stage3_of_twin(trunk.to(dtype), pixels.permute(2, 0, 1)[None])
            maps = []
            for scale in reranker.to(dtype).scales(stage3):
                unit = scale / scale.norm(dim=1, keepdim=True)
                unit = torch.nn.functional.interpolate(
                    unit, stage3.shape[2:], mode="bilinear", align_corners=True
                )
                maps.append(unit[0].permute(1, 2, 0).double().numpy())
    finally:
        trunk.float(), reranker.float()
    return np.stack(maps)


def test_weights_without_a_reranker_are_refused():
    with pytest.raises(UserError, match="tiny_learnable have no reranker; convert a checkpoint"):
        MapNetwork(lively_weights("tiny_learnable"))
    with pytest.raises(UserError, match="weights of tiny have no reranker"):
        MapNetwork(lively_weights("tiny"))


def test_broken_values_of_a_reranker_are_named():
    weights = lively_cvnet_weights()
    tensors = {**weights.tensors, "params/reranker/mlp_1/bias": np.full(2, np.nan, np.float32)}
    with pytest.raises(UserError, match=r"reranker/mlp_1/bias holds 2 values .* not finite"):
        dataclasses.replace(weights, tensors=tensors)


def test_maps_are_computed_once(tmp_path):
    photograph, network = _photograph(tmp_path), _Counted()
    cache = _cache(tmp_path, network)
    assert photograph not in cache
    maps = cache[photograph]
    assert photograph in cache
    np.testing.assert_array_equal(maps, _Counted()(picture(24, 32)))
    for again in (cache, _cache(tmp_path, network)):
        assert photograph in again
        np.testing.assert_array_equal(again[photograph], maps)
    assert network.runs == 1


def test_what_makes_other_maps(tmp_path):
    network = _Counted()
    cache = _cache(tmp_path, network)
    whole = _photograph(tmp_path)
    different = [cache[whole], cache[_photograph(tmp_path, box=(0, 0, 9, 9))]]
    different.append(_cache(tmp_path, network, dtype="float16")[whole])
    other_network = _Counted()
    other_network.key = "another network"
    _cache(tmp_path, other_network)[whole]
    (tmp_path / "0.png").write_bytes(encoded(picture(24, 32, seed=5), ".png"))
    different.append(_cache(tmp_path, network)[whole])
    status = whole.path.stat()
    content = encoded(picture(24, 32, seed=6), ".png")
    whole.path.write_bytes(content[: status.st_size].ljust(status.st_size, b"\0"))
    os.utime(whole.path, ns=(status.st_atime_ns, status.st_mtime_ns))
    different.append(_cache(tmp_path, network)[whole])
    assert (network.runs, other_network.runs, len(_files(tmp_path))) == (5, 1, 6)
    assert len({float(maps[0, 0, 0, 0]) for maps in different}) == 5


def test_a_file_that_is_only_touched_has_the_same_maps(tmp_path):
    photograph, network = _photograph(tmp_path), _Counted()
    _cache(tmp_path, network)[photograph]
    os.utime(photograph.path, (1, 1))
    _cache(tmp_path, network)[photograph]
    assert network.runs == 1


def test_the_key_of_a_network_tells_its_origin(monkeypatch):
    weights = lively_cvnet_weights()
    keys = {
        MapNetwork(dataclasses.replace(weights, **changes)).key
        for changes in (
            {"sha256": "a"},
            {"sha256": "b"},
            {"preprocessing": dataclasses.replace(weights.preprocessing, channel_order="RGB")},
            {"architecture": dataclasses.replace(weights.architecture, stage_strides=(1, 1, 1, 1))},
        )
    }
    assert len(keys) == 4
    monkeypatch.setattr(origin, "versions", lambda: {"jax": "0.0"})
    assert MapNetwork(weights).key not in keys


def _cut(content):
    return content[: len(content) // 2]


def _flipped(content):
    return content[:3000] + bytes([content[3000] ^ 1]) + content[3001:]


@pytest.mark.parametrize("change", [_cut, _flipped, lambda content: b""])
def test_a_broken_file_is_made_again(tmp_path, change):
    photograph, network = _photograph(tmp_path), _Counted()
    maps = _cache(tmp_path, network)[photograph]
    [file] = _files(tmp_path)
    content = file.read_bytes()
    file.write_bytes(change(content))
    np.testing.assert_array_equal(_cache(tmp_path, network)[photograph], maps)
    assert (network.runs, file.read_bytes()) == (2, content)


def test_a_file_that_holds_something_else_is_made_again(tmp_path):
    photograph, network = _photograph(tmp_path), _Counted()
    maps = _cache(tmp_path, network)[photograph]
    [file] = _files(tmp_path)
    for content in ({"maps": np.zeros((3, 2, 3, 64))}, {"other": maps}, {"maps": np.array([{}])}):
        np.savez(file, **content)
        np.testing.assert_array_equal(_cache(tmp_path, network)[photograph], maps)
    assert network.runs == 4


def test_the_folder_does_not_outgrow_its_limit(tmp_path):
    photographs = [_photograph(tmp_path, seed) for seed in range(4)]
    network = _Counted()
    limit = 3 * MAP_BYTES + 2000  # Three of them, with their heads.
    cache = _cache(tmp_path, network, limit)
    for photograph in photographs[:3]:
        cache[photograph]
    cache[photographs[0]]  # Now the second is the one that was not used for longest.
    cache[photographs[3]]
    assert [p in cache for p in photographs] == [True, False, True, True]
    assert network.runs == 4
    again = _cache(tmp_path, network, limit)
    assert [p in again for p in photographs] == [True, False, True, True]
    assert sum(file.stat().st_size for file in _files(tmp_path)) <= limit


def test_what_another_process_used_last_is_kept(tmp_path):
    photographs = [_photograph(tmp_path, seed) for seed in range(3)]
    cache = _cache(tmp_path)
    for photograph in photographs[:2]:
        cache[photograph]
    os.utime(tmp_path / "maps" / f"{cache.key(photographs[1])}.npz", (1, 1))
    again = _cache(tmp_path, limit_bytes=2 * MAP_BYTES + 2000)
    again[photographs[2]]
    assert [p in again for p in photographs] == [True, False, True]


def test_without_any_room_maps_are_given_all_the_same(tmp_path):
    photograph, network = _photograph(tmp_path), _Counted()
    cache = _cache(tmp_path, network, limit_bytes=0)
    np.testing.assert_array_equal(cache[photograph], cache[photograph])
    assert (network.runs, _files(tmp_path)) == (2, [])


def test_half_precision_takes_half_of_the_room(tmp_path):
    photograph = _photograph(tmp_path)
    sizes, maps = [], []
    for dtype in ("float32", "float16"):
        cache = _cache(tmp_path / dtype, dtype=dtype)
        maps.append(cache[photograph])
        [file] = _files(tmp_path / dtype)
        assert 0 < file.stat().st_size - cache.bytes_of_maps((2, 3)) < 1000
        sizes.append(cache.bytes_of_maps((2, 3)))
    assert sizes == [MAP_BYTES, MAP_BYTES // 2]
    assert maps[1].dtype == np.float32
    np.testing.assert_allclose(maps[1], maps[0], rtol=2**-11)
    assert (maps[1] != maps[0]).any()


def test_an_unreadable_photograph_is_named(tmp_path):
    (tmp_path / "text.png").write_text("text")
    cache = _cache(tmp_path)
    with pytest.raises(UnreadableImage, match=r"missing\.png: No such file"):
        cache[Photograph(tmp_path, "missing.png")]
    with pytest.raises(UnreadableImage, match=r"text\.png: its 4 bytes are no image"):
        cache[Photograph(tmp_path, "text.png")]
    with pytest.raises(UserError, match=r"0\.png: the box .* is outside"):
        cache[_photograph(tmp_path, box=(32, 0, 40, 9))]
