"""What a network expects of the pixels of its images."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from senet_jax.system.errors import UserError, shown

_LARGEST = 1e3
"""Of a mean or a standard deviation; the least deviation is its inverse."""


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """What a network's weights expect of the pixels; the default is SENet's.

    Attributes:
        channel_order: "BGR" or "RGB".
        mean: of each channel, in that order, for pixels in [0, 1].
        std: the standard deviation of each channel, in that order.

    Raises:
        UserError: another order, or not three numbers a list, of a size that pixels can take.
    """

    channel_order: str = "BGR"
    mean: tuple[float, float, float] = (0.406, 0.456, 0.485)
    std: tuple[float, float, float] = (0.225, 0.224, 0.229)

    def __post_init__(self):
        if self.channel_order not in ("BGR", "RGB"):
            raise UserError(
                f"the channel order is {shown(self.channel_order)}; give 'BGR' or 'RGB'"
            )
        for name, least in (("mean", -_LARGEST), ("std", 1 / _LARGEST)):
            values = getattr(self, name)
            if not _are_three_numbers(values, least):
                raise UserError(
                    f"{name} is {shown(values)}; give three numbers of {least:g} to {_LARGEST:g}, "
                    "one for each channel of pixels in [0, 1]"
                )
            object.__setattr__(self, name, tuple(map(float, values)))

    def to_json(self) -> dict[str, Any]:
        """A value that `json` can write."""
        return {
            "channel_order": self.channel_order,
            "mean": list(self.mean),
            "std": list(self.std),
        }

    @classmethod
    def from_json(cls, value: Any) -> "Preprocessing":
        """Reads what `to_json` gave.

        Raises:
            UserError: a key is missing or unknown, or a value is not what the class takes.
        """
        keys = [field.name for field in dataclasses.fields(cls)]
        if not isinstance(value, Mapping) or set(value) != set(keys):
            seen = shown(list(value) if isinstance(value, Mapping) else value)
            raise UserError(f"preprocessing holds {seen}; give {', '.join(keys)}")
        return cls(**value)


def _are_three_numbers(values: Any, least: float) -> bool:
    return (
        isinstance(values, list | tuple)
        and len(values) == 3
        and all(_is_number(value) and least <= value <= _LARGEST for value in values)
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool)


def normalise(images: Any, preprocessing: Preprocessing, light: Any = None) -> Any:
    """Pixels as a network takes them: in its channel order, `(pixel / 255 + light - mean) / std`.

    Args:
        images: uint8[... 3] in the order BGR, of NumPy or JAX.
        preprocessing: what the network expects.
        light: float32[... 3] in the order BGR, what is added to pixels in [0, 1]; None for nothing.

    Returns:
        float32[... 3] of the same library.
    """
    in_order = slice(None, None, -1 if preprocessing.channel_order == "RGB" else 1)
    mean, std = (np.array(v, np.float32) for v in (preprocessing.mean, preprocessing.std))
    if light is not None:
        mean = mean - light[..., in_order]
    return (images[..., in_order].astype(np.float32) / np.float32(255) - mean) / std
