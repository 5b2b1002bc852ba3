"""The maps of a network in both frameworks, stage by stage: the work of `convert.compare`."""

import dataclasses
import pathlib
from collections.abc import Iterator, Mapping

import jax
import numpy as np

from senet_jax.convert.checkpoint import import_torch, read_checkpoint
from senet_jax.convert.mapping import naming_of, table
from senet_jax.convert.translate import weights_from_state
from senet_jax.data.revisitop import read_image
from senet_jax.models.architecture import Architecture
from senet_jax.models.preprocessing import Preprocessing, normalise
from senet_jax.models.registry import build_model
from senet_jax.system.errors import UserError
from senet_jax.weights import Weights, load_weights

PARTED = 1e-3


@dataclasses.dataclass(frozen=True)
class StageDifference:
    """How far a named map of one framework is from the other's.

    Attributes:
        stage: the map's name.
        shape: in Flax.
        largest: the largest magnitude in PyTorch's.
        difference: the largest difference.
    """

    stage: str
    shape: tuple[int, ...]
    largest: float
    difference: float

    @property
    def relative(self) -> float:
        """The difference over the largest magnitude."""
        return self.difference / self.largest if self.largest else self.difference


def flax_maps(weights: Weights, images: np.ndarray) -> dict[str, np.ndarray]:
    """Every named map of the Flax network for uint8[b h w 3] BGR, channels last."""
    model = build_model(weights.architecture)

    @jax.jit
    def run(variables: dict, pixels: jax.Array) -> dict[str, jax.Array]:
        return model.apply(variables, normalise(pixels, weights.preprocessing))[1]

    return {name: np.asarray(maps) for name, maps in run(weights.variables(), images).items()}


def torch_maps(
    architecture: Architecture, state: Mapping[str, np.ndarray], images: np.ndarray
) -> dict[str, np.ndarray]:
    """The same of the PyTorch twin with a checkpoint's own tensors, brought to channels last.

    Nothing of the conversion takes part but the names: no layout is changed, and a checkpoint of
    torchvision's naming gets RGB.
    """
    torch = import_torch()
    from senet_jax.convert.twin import Twin

    naming = naming_of(state)
    twin = Twin(architecture).eval()
    own_keys = {row.path: row.key for row in table(architecture, "authors")}
    tensors = {
        own_keys[row.path]: torch.from_numpy(np.array(state[row.key], np.float32))
        for row in table(architecture, naming)
    }
    missing, unexpected = twin.load_state_dict(tensors, strict=False)
    if unexpected or any(not key.endswith("num_batches_tracked") for key in missing):
        raise RuntimeError(f"the twin lacks {unexpected} or misses {missing}")
    pixels = normalise(images, Preprocessing()).transpose(0, 3, 1, 2)
    if naming == "torchvision":
        pixels = pixels[:, ::-1]
    with torch.no_grad():
        maps = twin(torch.from_numpy(np.ascontiguousarray(pixels)))
    return {name: np.moveaxis(map_.numpy(), 1, -1) for name, map_ in maps.items()}


def differences(
    flax: Mapping[str, np.ndarray], torch: Mapping[str, np.ndarray]
) -> Iterator[StageDifference]:
    """Holds the maps of two frameworks against each other, in the order of the network."""
    for name, theirs in torch.items():
        ours = flax[name]
        yield StageDifference(
            stage=name,
            shape=ours.shape,
            largest=float(np.abs(theirs).max()),
            difference=float(np.abs(ours - theirs).max()),
        )


def compare(folder: pathlib.Path, file: pathlib.Path, image: pathlib.Path) -> None:
    """Prints how far the maps of a weights folder and of a checkpoint's file are from each other.

    Raises:
        UserError: a file is wrong, or they part.
    """
    weights = load_weights(folder)
    if not isinstance(weights.architecture, Architecture):
        raise UserError(
            f"{folder} holds {weights.architecture.name}, which is not there in "
            "PyTorch; compare networks that have a ResNet trunk"
        )
    checkpoint = read_checkpoint(file)
    state = checkpoint.state
    weights_from_state(state, {}, weights.architecture)  # Names and shapes have to fit.
    pixels = read_image(image)[None]
    print(f"{file}: {checkpoint.told()}")
    print(f"{'map':16}{'shape':>24}{'largest':>12}{'difference':>12}{'relative':>10}")
    parted = None
    for stage in differences(
        flax_maps(weights, pixels), torch_maps(weights.architecture, state, pixels)
    ):
        shape = "x".join(map(str, stage.shape[1:]))
        print(
            f"{stage.stage:16}{shape:>24}{stage.largest:12.4g}{stage.difference:12.2g}"
            f"{stage.relative:10.1g}"
        )
        if parted is None and not stage.relative <= PARTED:
            parted = stage.stage
    if parted:
        raise UserError(f"they part at {parted}; is {folder} really made from {file}?")
    print("they agree to float32 rounding")
