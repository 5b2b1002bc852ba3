"""Colour thumbnails: a photograph by its colours on a coarse grid, without a network.

What any network has to beat, and the floor of every comparison. There is nothing to train.
"""

import dataclasses
from typing import Any, ClassVar

from senet_jax.models.family import Family, descriptor_output
from senet_jax.models.preprocessing import Preprocessing
from senet_jax.models.settings import Settings

SIDE = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class ThumbnailSettings(Settings):
    """The size of thumbnails.

    Attributes:
        side: how many cells there are along each side of a photograph.
    """

    LIMITS: ClassVar = {**Settings.LIMITS, "side": (1, 2**7)}

    side: int = SIDE
    outputs: int = 3 * SIDE**2

    def check(self) -> None:
        """See `Settings`."""
        super().check()
        if self.outputs != 3 * self.side**2:
            raise TypeError(f"its outputs are {self.outputs}, not three colours of {self.side}²")


def _build(settings: ThumbnailSettings, **options: Any) -> Any:
    from senet_jax.models.thumbnails import Thumbnails  # Flax takes a second to import.

    return Thumbnails(settings.side)


FAMILY = Family(
    name="thumbnails",
    settings=ThumbnailSettings,
    build=_build,
    gives={"global": descriptor_output(_build)},
    allows=("masks",),
    models=(ThumbnailSettings("thumbnails"),),
    preprocessing=Preprocessing("RGB", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
    note=lambda settings: "colour thumbnails, no network",
)
