"""At which sizes a photograph is described."""

from senet_jax.models.registry import ARCHITECTURES, family_of
from senet_jax.models.settings import Settings

SCALES = (0.7071, 1.0, 1.4142)
"""Those of the authors' evaluation, relative to a photograph's own size."""


def scales_of(settings: Settings) -> tuple[float, ...]:
    """The sizes at which a network describes a photograph, relative to its own."""
    return family_of(settings).scales or SCALES


def sizes_of_evaluation(model: str) -> tuple[tuple[float, ...], int]:
    """The sizes of the evaluation of a network's authors.

    Args:
        model: name of the network; of one that is not known they are those of SENet.

    Returns:
        The relative ones, and to which long side photographs are shrunk before, in pixels; 0 where
        they are not.
    """
    settings = ARCHITECTURES.get(model)
    if settings is None:
        return SCALES, 0
    return scales_of(settings), family_of(settings).long_side or 0
