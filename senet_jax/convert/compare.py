"""Shows stage by stage where Flax and PyTorch part on an image.

  python -m senet_jax.convert.compare weights/r50 r50.pyth photo.jpg

Loads the folder into the Flax network and the file into a PyTorch twin of it, runs both on the
same pixels, and prints how far their maps are from each other, relative to the largest value of
each. Float32 rounding gives 1e-7 to 1e-5; the first map above 1e-3 is where they part.
"""

import dataclasses
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
from senet_jax.system.errors import CommandParser, UserError, run_command
from senet_jax.system.files import local_path
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


def main() -> None:
    """Reads the command line and compares."""
    parser = CommandParser(prog="python -m senet_jax.convert.compare", description=__doc__)
    parser.add_argument("weights", type=local_path, metavar="WEIGHTS", help="a weights folder")
    parser.add_argument(
        "file", type=local_path, metavar="FILE", help="a PyTorch file or a safetensors file"
    )
    parser.add_argument("image", type=local_path, metavar="IMAGE", help="a photograph")
    arguments = parser.parse_args()

    weights = load_weights(arguments.weights)
    if not isinstance(weights.architecture, Architecture):
        raise UserError(
            f"{arguments.weights} holds {weights.architecture.name}, which is not there in "
            "PyTorch; compare networks that have a ResNet trunk"
        )
    checkpoint = read_checkpoint(arguments.file)
    state = checkpoint.state
    weights_from_state(state, {}, weights.architecture)  # Names and shapes have to fit.
    image = read_image(arguments.image)[None]
    print(f"{arguments.file}: {checkpoint.told()}")
    print(f"{'map':16}{'shape':>24}{'largest':>12}{'difference':>12}{'relative':>10}")
    parted = None
    for stage in differences(
        flax_maps(weights, image), torch_maps(weights.architecture, state, image)
    ):
        shape = "x".join(map(str, stage.shape[1:]))
        print(
            f"{stage.stage:16}{shape:>24}{stage.largest:12.4g}{stage.difference:12.2g}"
            f"{stage.relative:10.1g}"
        )
        if parted is None and not stage.relative <= PARTED:
            parted = stage.stage
    if parted:
        raise UserError(
            f"they part at {parted}; is {arguments.weights} really made from {arguments.file}?"
        )
    print("they agree to float32 rounding")


if __name__ == "__main__":
    run_command(main)
