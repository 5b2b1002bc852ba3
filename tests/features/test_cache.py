import os

import numpy as np
import pytest

from senet_jax.data.revisitop import Photograph
from senet_jax.data.transforms import UnreadableImage
from senet_jax.features.cache import FeatureCache
from senet_jax.features.networks import DenseNetwork
from senet_jax.system.errors import UserError
from tests.data.pictures import encoded, picture
from tests.oracles.lively_twin import architecture_named

SHAPE = (24, 32)
MAP_BYTES = 3 * 3 * 4 * 256 * 4  # One position is 8x8 pixels.
LIMIT = 10**9
ARCHITECTURE = architecture_named("tiny_learnable")


class _MeanColours:
    """In place of CVNet: maps of an image that tell its mean colour; two devices."""

    mode, devices, transposes = "auto", 2, True
    network = DenseNetwork(ARCHITECTURE, None)

    def __init__(self):
        self.batches, self.images = 0, 0

    def __call__(self, images, sizes, *, transposed):
        self.batches += 1
        colours = [
            image[:height, :width].mean() if image.any() else 0
            for image, (height, width) in zip(images, sizes, strict=True)
        ]
        self.images += np.count_nonzero(colours)
        shape = [side // self.network.stride for side in images.shape[1:3]]
        maps = np.ones((len(images), 3, *shape, 256), np.float32)
        return maps * np.reshape(colours, (-1, 1, 1, 1, 1)).astype(np.float32)

    values = property(lambda self: self.network.values)


def _photograph(folder, seed=0, shape=SHAPE, **options):
    (folder / f"{seed}.png").write_bytes(encoded(picture(*shape, seed=seed), ".png"))
    return Photograph(folder, f"{seed}.png", **options)


def _cache(tmp_path, runner=None, limit_bytes=LIMIT, origin="a network"):
    return FeatureCache(runner or _MeanColours(), {"of": origin}, tmp_path / "maps", limit_bytes)


def _files(tmp_path):
    return sorted((tmp_path / "maps").iterdir())


def _mean(photograph):
    """Of the picture with the seed that its file is named by."""
    return picture(*SHAPE, seed=int(photograph.file_name.split(".")[0])).mean()


def test_values_are_computed_once(tmp_path):
    photograph, runner = _photograph(tmp_path), _MeanColours()
    cache = _cache(tmp_path, runner)
    assert photograph not in cache
    value = cache[photograph]
    assert photograph in cache
    assert list(value) == ["maps"] and value["maps"].shape == (3, 3, 4, 256)
    np.testing.assert_allclose(value["maps"], _mean(photograph), rtol=1e-6)
    for again in (cache, _cache(tmp_path, runner)):
        assert photograph in again
        np.testing.assert_array_equal(again[photograph]["maps"], value["maps"])
    assert runner.images == 1


def test_many_come_in_batches_on_all_devices(tmp_path, capsys):
    shapes = [SHAPE, SHAPE[::-1], (17, 30)]
    photographs = [_photograph(tmp_path, seed, shapes[seed % 3]) for seed in range(9)]
    runner = _MeanColours()
    cache = _cache(tmp_path, runner)
    cache[photographs[4]]
    cache.fill(photographs, "town, maps")
    assert (
        "town, maps: 8 of 9 images to compute; all take 0.00 GiB, and " in capsys.readouterr().out
    )
    # Six landscapes in two batches of three, three portraits in another program.
    assert runner.batches - 1 <= 3
    assert len(_files(tmp_path)) == 9
    for seed, photograph in enumerate(photographs):
        height, width = shapes[seed % 3]
        maps = cache[photograph]["maps"]
        assert maps.shape == (3, -(-height // 8), -(-width // 8), 256)
        expected = picture(*shapes[seed % 3], seed=seed).mean()
        np.testing.assert_allclose(maps, expected, rtol=1e-6)
    before = runner.batches
    cache.fill(photographs, "town, maps")
    _cache(tmp_path, runner).fill(photographs, "town, maps")
    assert runner.batches == before


class _Ended(_MeanColours):
    def __call__(self, *inputs, **options):
        if self.batches >= 2:
            raise KeyboardInterrupt
        return super().__call__(*inputs, **options)


def test_work_that_was_ended_resumes(tmp_path):
    photographs = [_photograph(tmp_path, seed, (64 * (seed + 1), 600)) for seed in range(6)]
    with pytest.raises(KeyboardInterrupt):
        _cache(tmp_path, _Ended()).fill(photographs, "town")
    there = len(_files(tmp_path))
    assert 0 < there < len(photographs)
    runner = _MeanColours()
    _cache(tmp_path, runner).fill(photographs, "town")
    assert len(_files(tmp_path)) == len(photographs)
    assert runner.images < len(photographs)


def test_what_makes_other_values(tmp_path):
    runner = _MeanColours()
    cache = _cache(tmp_path, runner)
    whole = _photograph(tmp_path)
    different = [cache[whole], cache[_photograph(tmp_path, box=(0, 0, 9, 9))]]
    other = _MeanColours()
    _cache(tmp_path, other, origin="another network")[whole]
    (tmp_path / "0.png").write_bytes(encoded(picture(*SHAPE, seed=5), ".png"))
    different.append(_cache(tmp_path, runner)[whole])
    status = whole.path.stat()
    content = encoded(picture(*SHAPE, seed=6), ".png")
    whole.path.write_bytes(content[: status.st_size].ljust(status.st_size, b"\0"))
    os.utime(whole.path, ns=(status.st_atime_ns, status.st_mtime_ns))
    different.append(_cache(tmp_path, runner)[whole])
    assert (runner.images, other.images, len(_files(tmp_path))) == (4, 1, 5)
    assert len({float(value["maps"][0, 0, 0, 0]) for value in different}) == 4


def test_a_file_that_is_only_touched_has_the_same_value(tmp_path):
    photograph, runner = _photograph(tmp_path), _MeanColours()
    _cache(tmp_path, runner)[photograph]
    os.utime(photograph.path, (1, 1))
    _cache(tmp_path, runner)[photograph]
    assert runner.images == 1


def _cut(content):
    return content[: len(content) // 2]


def _flipped(content):
    return content[:3000] + bytes([content[3000] ^ 1]) + content[3001:]


@pytest.mark.parametrize("change", [_cut, _flipped, lambda content: b""])
def test_a_broken_file_is_made_again(tmp_path, change):
    photograph, runner = _photograph(tmp_path), _MeanColours()
    maps = _cache(tmp_path, runner)[photograph]["maps"]
    [file] = _files(tmp_path)
    content = file.read_bytes()
    file.write_bytes(change(content))
    np.testing.assert_array_equal(_cache(tmp_path, runner)[photograph]["maps"], maps)
    assert (runner.images, file.read_bytes()) == (2, content)


def test_a_file_that_holds_something_else_is_made_again(tmp_path):
    photograph, runner = _photograph(tmp_path), _MeanColours()
    maps = _cache(tmp_path, runner)[photograph]["maps"]
    [file] = _files(tmp_path)
    for content in ({"maps": maps}, {"other": maps}, {"maps": np.array([{}])}):
        np.savez(file, **content)
        np.testing.assert_array_equal(_cache(tmp_path, runner)[photograph]["maps"], maps)
    assert runner.images == 4


def test_the_folder_does_not_outgrow_its_limit(tmp_path):
    photographs = [_photograph(tmp_path, seed) for seed in range(4)]
    runner = _MeanColours()
    limit = 3 * MAP_BYTES + 2000  # Three of them, with their headers.
    cache = _cache(tmp_path, runner, limit)
    for photograph in photographs[:3]:
        cache[photograph]
    cache[photographs[0]]  # Now the second is the one that was not used for longest.
    cache[photographs[3]]
    assert [p in cache for p in photographs] == [True, False, True, True]
    assert runner.images == 4
    again = _cache(tmp_path, runner, limit)
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


def test_without_any_room_values_are_given_all_the_same(tmp_path, capsys):
    photographs = [_photograph(tmp_path, seed) for seed in range(3)]
    runner = _MeanColours()
    cache = _cache(tmp_path, runner, limit_bytes=0)
    cache.fill(photographs, "maps")
    assert "holds 0.00: SOME WILL BE COMPUTED MORE THAN ONCE" in capsys.readouterr().out
    assert runner.images == 0
    for photograph in (*photographs, photographs[0]):
        np.testing.assert_allclose(cache[photograph]["maps"], _mean(photograph), rtol=1e-6)
    assert _files(tmp_path) == []


def test_maps_kept_by_an_earlier_version_are_left_alone(tmp_path):
    """They have other keys and are removed as what was not used for the longest time."""
    (tmp_path / "maps").mkdir()
    old = tmp_path / "maps" / f"{'ab' * 32}.npz"
    np.savez(old, maps=np.zeros((3, 3, 4, 256), np.float32), checksum=7)
    os.utime(old, (1, 1))
    photograph, runner = _photograph(tmp_path), _MeanColours()
    _cache(tmp_path, runner)[photograph]
    assert runner.images == 1 and old.exists()
    _cache(tmp_path, runner, limit_bytes=MAP_BYTES + 2000)[_photograph(tmp_path, 1)]
    assert not old.exists()


def test_an_unreadable_photograph_is_named(tmp_path):
    (tmp_path / "text.png").write_text("text")
    cache = _cache(tmp_path)
    with pytest.raises(UnreadableImage, match=r"missing\.png: No such file"):
        cache[Photograph(tmp_path, "missing.png")]
    with pytest.raises(UnreadableImage, match=r"text\.png: its 4 bytes are no image"):
        cache[Photograph(tmp_path, "text.png")]
    with pytest.raises(UserError, match=r"0\.png: the box .* is outside"):
        cache[_photograph(tmp_path, box=(32, 0, 40, 9))]
