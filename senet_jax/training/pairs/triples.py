"""The batches of a training on pairs, each a pure function of the seed and of its step.

A triple is an image, another one of its class, and one of another class.
"""

import itertools
from collections.abc import Generator

import jax
import jax.numpy as jnp
import numpy as np

from senet_jax.data.loader import Batch
from senet_jax.data.sampling import ClassMembers, Purpose, random_generator, shuffled
from senet_jax.system.errors import UserError
from senet_jax.training.pairs.kept_maps import KeptMaps
from senet_jax.training.pairs.settings import PairSettings

PARTS = ("anchors", "positives", "negatives")
_ROWS_AT_ONCE = 1024


class Triples:
    """The triples of a training, as maps of their images.

    The share of hard ones among the negatives and the probability of hiding grow linearly over the
    training, see `PairSettings`.

    Args:
        kept: of all images.
        batch_size: how many triples are a batch.
        seed: of the order, of the partners, and of what is hidden.
        settings: of the pairs.

    Raises:
        UserError: no class has two images, or there is one class only.
    """

    def __init__(self, kept: KeptMaps, batch_size: int, seed: int, settings: PairSettings):
        self._kept, self._batch_size, self._seed = kept, batch_size, seed
        self._settings = settings
        self._members = ClassMembers(kept.labels, int(kept.labels.max()) + 1)
        counts = np.bincount(kept.labels)
        self._anchors = np.flatnonzero(counts[kept.labels] > 1)
        if not self._anchors.size or np.count_nonzero(counts) < 2:
            raise UserError(
                f"{len(kept.labels)} images of {np.count_nonzero(counts)} classes make no pairs; "
                "give two classes or more, and two images of one of them"
            )
        self._hard = nearest_of_other_classes(
            kept.descriptors, kept.labels, settings.hard_negatives
        )

    @property
    def steps_per_epoch(self) -> float:
        """How many batches have every image first once; an epoch may end within one."""
        return len(self._anchors) / self._batch_size

    def batch(self, step: int, total_steps: int) -> Batch:
        """The batch of a step: `PARTS`, float32[b h w c] each.

        Args:
            step: from 0.
            total_steps: of the training.
        """
        progress = step / max(total_steps - 1, 1)
        rng = random_generator(self._seed, Purpose.TRIPLES, step)
        triples = [
            self._triple(position, rng, progress)
            for position in range(step * self._batch_size, (step + 1) * self._batch_size)
        ]
        probability = progress * self._settings.hide_probability
        return {
            part: hidden(self._kept.maps[rows], rng, probability, self._settings.hidden_share)
            for part, rows in zip(PARTS, np.array(triples).T, strict=True)
        }

    def _triple(
        self, position: int, rng: np.random.Generator, progress: float
    ) -> tuple[int, int, int]:
        place = shuffled(len(self._anchors), position, self._seed, Purpose.EPOCH)
        anchor = int(self._anchors[place])
        label = self._kept.labels[anchor]
        members = self._members[label]
        positive = int(rng.choice(members[members != anchor]))
        if rng.random() < progress * self._settings.hard_share:
            return anchor, positive, int(rng.choice(self._hard[anchor]))
        # By its place among all images but those of the class, which `members` has in order.
        negative = int(rng.integers(len(self._kept.labels) - len(members)))
        negative += int(np.searchsorted(members - np.arange(len(members)), negative, "right"))
        return anchor, positive, negative


class Batches:
    """The batches of a whole training; see `Triples`."""

    def __init__(self, triples: Triples, total_steps: int):
        self._triples, self._total_steps = triples, total_steps

    def batches(self, first_step: int, workers: int) -> Generator[Batch, None, None]:
        """The batches of `first_step` and of all steps after it.

        Args:
            first_step: where to begin.
            workers: they read images, and there are none left to read.
        """
        del workers
        for step in itertools.count(first_step):
            yield self._triples.batch(step, self._total_steps)


def hidden(
    maps: np.ndarray, rng: np.random.Generator, probability: float, share: float
) -> np.ndarray:
    """Maps of which some have zeros at random positions ("hide and seek").

    Source: Singh & Lee, "Hide-and-Seek" (ICCV 2017), who hide patches of images; CVNet hides
    positions of maps.

    Args:
        maps: float32[b h w c].
        rng: where the randomness comes from.
        probability: that something of a map is hidden.
        share: of the positions of such a map, each by chance.
    """
    count, height, width, _ = maps.shape
    are_changed = rng.random(count) < probability
    are_hidden = (rng.random((count, height, width)) < share) & are_changed[:, None, None]
    return np.where(are_hidden[..., None], np.float32(0), maps)


def nearest_of_other_classes(descriptors: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """The images of other classes whose descriptors are most similar to each image's.

    Args:
        descriptors: float32[n d], of unit length.
        labels: int32[n].
        count: how many; of all, as many as each image has at least.

    Returns:
        int32[n k], the most similar first; among equals the lower index.
    """
    others = len(labels) - int(np.bincount(labels).max())
    of_rows = jax.jit(_nearest_of_rows, static_argnums=4)
    blocks = [
        of_rows(
            descriptors[start : start + _ROWS_AT_ONCE],
            labels[start : start + _ROWS_AT_ONCE],
            descriptors,
            labels,
            min(count, others),
        )
        for start in range(0, len(labels), _ROWS_AT_ONCE)
    ]
    return np.concatenate([np.asarray(block) for block in blocks])


def _nearest_of_rows(
    rows: jax.Array, row_labels: jax.Array, descriptors: jax.Array, labels: jax.Array, count: int
) -> jax.Array:
    similarities = jnp.matmul(rows, descriptors.T, precision="highest")
    of_others = jnp.where(row_labels[:, None] != labels, similarities, -jnp.inf)
    return jax.lax.top_k(of_others, count)[1]
