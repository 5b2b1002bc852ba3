"""The families of models: whatever asks for a network asks here, and knows no family by name.

A family of the project is a file under `models/families/` and a line here; any other module may
`register` one of its own. A file of weights never makes anything be imported.
"""

from collections.abc import Mapping
from typing import Any

from senet_jax.models.families import cvnet, disk, early_lite, gem, lite0, resnet, senet, thumbnails
from senet_jax.models.family import Family, Kind, Output
from senet_jax.models.settings import Settings
from senet_jax.system.errors import UserError, shown

ARCHITECTURES: dict[str, Any] = {}
"""The settings of every named network: SENet `r50`, `r101`, `r152`, `tiny` and `demo`, each with
its ablations `_direct`, `_dot`, `_concat`, `_fusion` and `_baseline`; the ImageNet trunks
`resnet50|101|152`; CVNet-Global `cvnet_r50`, `cvnet_r101`; GeM `gem_r50`, `gem_r101`;
EfficientNet-Lite0 `lite0`, and with SENet's head `lite0_channel_wise` and its ablations, or on the
maps of an early stage `early_lite0_channel_wise` and its; colour
`thumbnails`; keypoints by `disk`; and those of registered families. The sizes of `tiny` and `demo`
are the project's own, for tests, the demo and studies."""

_FAMILIES: dict[str, Family] = {}


def register(family: Family) -> None:
    """Adds a family and its named networks.

    Raises:
        UserError: another family has its name or its type of settings, or the name of a network.
    """
    known = _FAMILIES.get(family.name)
    if known == family:
        return
    if known is not None or any(family.settings is other.settings for other in families()):
        raise UserError(
            f"a family {shown(family.name)}, or one with settings of the type "
            f"{family.settings.__name__}, is registered already; give yours its own"
        )
    for settings in family.models:
        if settings.name in ARCHITECTURES:
            raise UserError(
                f"a model {shown(settings.name)} is registered already; name that of the family "
                f"{family.name} otherwise"
            )
    _FAMILIES[family.name] = family
    ARCHITECTURES.update({settings.name: settings for settings in family.models})


def families() -> tuple[Family, ...]:
    """Every family that is registered."""
    return tuple(_FAMILIES.values())


def find_family(name: Any) -> Family:
    """The family of that name.

    Raises:
        UserError: there is none.
    """
    if not isinstance(name, str) or name not in _FAMILIES:
        raise UserError(
            f"no family of models is called {shown(name)}; there are {', '.join(_FAMILIES)}; "
            "import the module that registers yours first, in the config for example"
        )
    return _FAMILIES[name]


def family_of(settings: Settings) -> Family:
    """The family whose settings these are.

    Raises:
        UserError: it is not registered.
    """
    for family in families():
        if type(settings) is family.settings:
            return family
    raise UserError(
        f"no family of models has settings of the type {type(settings).__name__}; register it "
        "with senet_jax.models.registry.register"
    )


def find_architecture(name: str) -> Any:
    """The settings of the network of that name.

    Raises:
        UserError: there is none.
    """
    if name not in ARCHITECTURES:
        raise UserError(f"no model is called {shown(name)}; there are {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]


def describes(settings: Settings) -> bool:
    """Whether a network's output is a descriptor (and not the logits of classes, or features)."""
    return "global" in family_of(settings).gives


def output_of(settings: Settings, kind: Kind) -> Output:
    """What a network gives of a kind.

    Raises:
        UserError: it gives nothing of that kind.
    """
    gives = family_of(settings).gives
    if kind not in gives:
        raise UserError(
            f"{settings.name} gives no {kind} features of images, but {' and '.join(gives)}; "
            "choose weights of another network"
        )
    return gives[kind]


def build_model(architecture: Settings, **options: Any) -> Any:
    """The network as a Flax module.

    Args:
        architecture: which one.
        **options: the fields of `models.layers.LayerOptions`.
    """
    return family_of(architecture).build(architecture, **options)


def initial_variables(model: Any, seed: int, *inputs: Any) -> dict[str, Any]:
    """The variables of a network before any training, by the authors' initialisation.

    Args:
        model: the network.
        seed: the same variables for the same.
        *inputs: what it takes, with any values; an image where nothing is given.
    """
    import jax  # It takes a second to import, and names and settings need none of it.
    import jax.numpy as jnp

    # It runs once: on a CPU to compile it well takes longer than to run it badly.
    quick = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else {}
    init = jax.jit(model.init, compiler_options=quick)
    return init(jax.random.key(seed), *(inputs or [jnp.zeros((1, 32, 32, 3))]))


def random_variables(architecture: Settings, seed: int) -> Mapping[str, Any]:
    """Random variables of a network, in NumPy, that behave like trained ones where it has such."""
    import jax
    import numpy as np

    family = family_of(architecture)
    if family.random is not None:
        return family.random(architecture, seed)
    return jax.tree.map(np.asarray, initial_variables(build_model(architecture), seed))


def variable_shapes(architecture: Settings, **options: Any) -> dict[str, Any]:
    """The tree of a network's variables, with shapes and dtypes in place of arrays.

    Args:
        architecture: the network.
        **options: the fields of `models.layers.LayerOptions`.
    """
    import jax
    import jax.numpy as jnp

    model = build_model(architecture, **options)
    image = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    return jax.eval_shape(model.init, jax.random.key(0), image)


for _room in (senet, resnet, cvnet, gem, lite0, early_lite, thumbnails, disk):
    register(_room.FAMILY)
