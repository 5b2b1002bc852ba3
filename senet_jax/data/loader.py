"""The batches of a training, each a pure function of the seed and of its step.

Threads or processes make them ahead of time and keep the order. Since no batch depends on what came
before, a training resumes at any step, with any number of workers and processes.
"""

import contextlib
import itertools
import sys
from collections.abc import Generator, Sequence
from typing import Any

import numpy as np

from senet_jax.data.augment import Augmentation, augment_file
from senet_jax.data.prepared import PreparedImages
from senet_jax.data.sampling import (
    ClassMembers,
    GroupedImages,
    Grouping,
    ImagesInOrder,
    Purpose,
    ShuffledImages,
    random_generator,
)
from senet_jax.data.transforms import UnreadableImage
from senet_jax.data.workers import Made, Spec, batches_of_workers
from senet_jax.system.errors import UserError, printable
from senet_jax.system.threads import in_order, usable_cores

Batch = dict[str, np.ndarray]
"""`images`, `labels` and, with pairs, `positives`; see `TrainingData`."""

LIGHT = "_light"
"""Behind the name of pixels: that of the light which is still to be added to them."""


def spec_of_examples(side: int, pairs: bool) -> Spec:
    """Shape and dtype of each array of an example, by its name; see `TrainingData`."""
    spec: dict[str, tuple[tuple[int, ...], Any]] = {"labels": ((), np.int32)}
    for name in ("images", "positives")[: 1 + pairs]:
        spec |= {name: ((side, side, 3), np.uint8), name + LIGHT: ((3,), np.float32)}
    return spec


class TrainingData:
    """The share of one process in the batches of a training.

    The global batch of step s is the examples s*B..(s+1)*B-1 of an endless stream, shuffled over
    all processes; process p of P has the p-th of its P equal parts. So their parts, one after
    the other, are the batch of a single process to the bit.

    A batch is a dict of
        images: uint8[b side side 3] BGR, augmented;
        images_light: float32[b 3], the light that is still to be added, see `augment`;
        labels: int32[b];
        positives, positives_light: only with pairs: another image of the same class, with an
            augmentation of its own. An image that is alone in its class is its own partner.

    So a quarter of the bytes of normalised pixels goes to the devices, which normalise.

    An image that cannot be decoded is named on standard error, once, and the next image of its
    class stands in for it, or, where none can be read, the next one of the dataset.

    Args:
        images: what is learned from.
        batch_size: B, over all processes.
        seed: of the order and of the augmentation.
        augmentation: how much images are changed.
        pairs: whether each image has a partner.
        grouping: what groups of classes stand whole in every batch; None takes single images.
        shuffled: whether single images are; else they come in their order.
        process_index: p.
        process_count: P.

    Raises:
        UserError: the batch is not made of equal parts or of whole groups, or the seed is negative.
    """

    def __init__(
        self,
        images: PreparedImages,
        batch_size: int,
        seed: int,
        augmentation: Augmentation,
        pairs: bool = False,
        grouping: Grouping | None = None,
        shuffled: bool = True,
        process_index: int = 0,
        process_count: int = 1,
    ):
        if batch_size < 1 or batch_size % process_count:
            raise UserError(
                f"a batch of {batch_size} images cannot be shared by {process_count} processes; "
                "give a positive multiple"
            )
        if grouping and batch_size % grouping.examples:
            raise UserError(
                f"a batch of {batch_size} images does not hold whole groups of "
                f"{grouping.examples} ({grouping.classes} classes, {grouping.views} images of "
                "each); give a multiple"
            )
        if seed < 0:
            raise UserError(f"the seed is {seed}; give 0 or a positive integer")
        self._images, self._seed, self._pairs = images, seed, pairs
        self._augmentation = augmentation
        self._members = ClassMembers(images.labels, len(images.class_names))
        self._order = _order(len(images), self._members, grouping, shuffled, seed)
        self._batch_size, self._share = batch_size, batch_size // process_count
        self._process_index = process_index
        self._named: set[str] = set()

    @property
    def steps_per_epoch(self) -> float:
        """How many batches an epoch is; it may end within one."""
        return self._order.examples_per_epoch / self._batch_size

    def batch(self, step: int) -> Batch:
        """The batch of a step."""
        places = range(step * self._share, (step + 1) * self._share)
        return self._named_faults(_collate([self._example(place) for place in places]))

    def batches(self, first_step: int = 0, workers: int = 0) -> Generator[Batch, None, None]:
        """The batches of `first_step` and of all steps after it, made ahead of time.

        Args:
            first_step: where to begin.
            workers: how many processes share the work; with 0 it is done in threads of this one.

        Yields:
            Batches without end; close the generator to stop the work.

        Raises:
            UserError: no image can be read, or see `batches_of_workers`.
        """
        if workers:
            spec = spec_of_examples(self._augmentation.side, self._pairs)
            made = batches_of_workers(self._example, spec, self._share, first_step, workers)
        else:
            made = self._batches_of_threads(first_step)
        with contextlib.closing(made):
            yield from map(self._named_faults, made)

    def _batches_of_threads(self, first_step: int) -> Generator[Made, None, None]:
        ahead = 2 * self._share
        places = itertools.count(first_step * self._share)
        threads = min(ahead, usable_cores())
        with contextlib.closing(in_order(self._example, places, threads, ahead)) as examples:
            while True:
                yield _collate(list(itertools.islice(examples, self._share)))

    def _example(self, place: int) -> Made:
        """An example of this process's stream, and the faults of the images that were no help."""
        step, place_in_share = divmod(place, self._share)
        position = step * self._batch_size + self._process_index * self._share + place_in_share
        rng = random_generator(self._seed, Purpose.IMAGE, position)
        index, example, faults = self._augmented("images", self._order(position), rng)
        label = self._images.labels[index]
        example["labels"] = label
        if self._pairs:
            rng = random_generator(self._seed, Purpose.POSITIVE, position)
            partner = self._members.partner(index, label, rng)
            _, positive, faults_of_partner = self._augmented("positives", partner, rng)
            example |= positive
            faults += faults_of_partner
        return example, faults

    def _augmented(
        self, name: str, index: int, rng: np.random.Generator
    ) -> tuple[int, dict[str, np.ndarray], list[str]]:
        """An image, or the first stand-in that can be read, changed: its index, and the faults."""
        members = self._members[self._images.labels[index]]
        class_from_here = np.roll(members, -np.searchsorted(members, index))
        all_from_here = itertools.chain(range(index + 1, len(self._images)), range(index))
        faults = []
        for candidate in itertools.chain(class_from_here, all_from_here):
            key, content = self._images.read(candidate)
            try:
                pixels, light = augment_file(content, rng, self._augmentation)
                return int(candidate), {name: pixels, name + LIGHT: light}, faults
            except UnreadableImage as error:
                faults.append(
                    f"cannot read the image {printable(key)} of {self._images.name}: {error}"
                )
        raise UserError(f"no image of {self._images.name} can be read; prepare the dataset anew")

    def _named_faults(self, batch_and_faults: Made) -> Batch:
        """Says what was not said yet."""
        batch, faults = batch_and_faults
        for fault in faults:
            if fault not in self._named:
                self._named.add(fault)
                print(
                    f"warning: {fault}; another image stands in ({len(self._named)} so far)",
                    file=sys.stderr,
                    flush=True,
                )
        return batch


def _order(
    count: int, members: ClassMembers, grouping: Grouping | None, shuffled: bool, seed: int
) -> GroupedImages | ShuffledImages | ImagesInOrder:
    """Which image stands where in the stream."""
    if grouping:
        return GroupedImages(members, grouping, seed)
    return ShuffledImages(count, seed) if shuffled else ImagesInOrder(count)


def _collate(examples: Sequence[Made]) -> Made:
    arrays = [example for example, _ in examples]
    batch = {name: np.stack([example[name] for example in arrays]) for name in arrays[0]}
    return batch, [fault for _, faults in examples for fault in faults]
