"""Makes a dataset to train on, from photographs or from a generated world.

It is in the format of TFDS. Every image is decoded once. What is missing or unreadable is left out,
counted and listed in the dataset's report.json. A run that was stopped resumes when it is started
again.
"""

import argparse
import contextlib
import dataclasses
import os
import pathlib
from typing import TYPE_CHECKING

from senet_jax.data import gldv2, world_sizes
from senet_jax.data.image_source import ImageSource
from senet_jax.system.errors import CommandParser, UserError, run_command
from senet_jax.system.files import local_path
from senet_jax.system.process import interruptible

if TYPE_CHECKING:
    from senet_jax.data.synthetic_landmarks.drawing import Draw

_MOST_PROCESSES = 1024


def main() -> None:
    """Makes what the command line names."""
    parser = CommandParser(prog="python -m senet_jax.data.prepare", description=__doc__)
    commands = parser.add_subparsers(metavar="NAME", required=True)

    command = commands.add_parser(gldv2.NAME, help="the cleaned Google Landmarks Dataset v2")
    command.add_argument("--csv", type=local_path, required=True, help="its list, train_clean.csv")
    command.add_argument(
        "--images", type=local_path, required=True, help="the folder of its images, 0/ to f/"
    )
    command.add_argument("--target", type=local_path, required=True, help="the folder to be made")
    command.set_defaults(
        prepare=lambda given: _prepare(gldv2.gldv2_clean(given.csv, given.images), given.target)
    )

    command = commands.add_parser("folder", help="a folder of class folders")
    command.add_argument(
        "--images", type=local_path, required=True, help="the folder of the class folders"
    )
    command.add_argument("--target", type=local_path, required=True, help="the folder to be made")
    command.add_argument(
        "--held_out",
        type=float,
        default=0.1,
        metavar="SHARE",
        help="of each class of four images or more, what is not trained on but evaluated, two "
        "images at least: the dataset TARGET_held_out; 0 for none; default: %(default)s",
    )
    command.set_defaults(prepare=_prepare_folder)

    command = commands.add_parser(
        world_sizes.NAME, help="generated landmarks: to train on, to validate, to evaluate"
    )
    command.add_argument(
        "--target", type=local_path, required=True, help="the folder of all datasets"
    )
    command.add_argument(
        "--size", choices=world_sizes.SIZES, default="demo", help="default: %(default)s"
    )
    _add_processes(command)
    for field in dataclasses.fields(world_sizes.WorldSizes):
        command.add_argument(f"--{field.name}", type=int, help="in place of the size's own")
    command.set_defaults(prepare=_prepare_world)

    command = commands.add_parser(
        world_sizes.DISTRACTORS, help="more distractors for generated landmarks"
    )
    command.add_argument(
        "--target", type=local_path, required=True, help="the folder of the generated landmarks"
    )
    command.add_argument(
        "--count", type=int, default=100_000, help="how many; default: %(default)s"
    )
    _add_processes(command)
    command.set_defaults(prepare=_prepare_distractors)

    arguments = parser.parse_args()

    def saved() -> str:
        return (
            f"what is finished of {arguments.target} is kept; run the same command again to go on"
        )

    with interruptible(saved):
        arguments.prepare(arguments)


def _add_processes(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--processes",
        type=int,
        default=1,
        metavar="N",
        help="that draw at once, the same pictures; default: %(default)s",
    )


def _prepare(source: ImageSource, target: str | os.PathLike) -> None:
    from senet_jax.data.builder import REPORT_FILE, build  # TFDS takes a second to import.

    was_there = pathlib.Path(target, REPORT_FILE).exists()
    report = build(source, target)
    dropped = [f"{entry['count']} {reason}" for reason, entry in report["dropped"].items()]
    print(
        f"{'there already is' if was_there else 'wrote'} {target}: "
        f"{report['images']} images of {report['classes']} classes "
        f"({report['classes_with_one_image']} have one image, {report['classes_without_image']} "
        f"have none); dropped: {', '.join(dropped) or 'none'} (see {REPORT_FILE})"
    )


def _prepare_folder(arguments: argparse.Namespace) -> None:
    if not 0 <= arguments.held_out <= 0.5:
        raise UserError(f"--held_out is {arguments.held_out}; give a share from 0 to 0.5")
    from senet_jax.data import held_out, image_folder

    source = image_folder.image_folder(arguments.images)
    chosen = held_out.choose(source, arguments.held_out)
    target = pathlib.Path(arguments.target)
    dataset = target.with_name(f"{target.name}_held_out")
    truth = held_out.ground_truth(source, chosen)
    there = held_out.check_place(dataset, truth)
    _prepare(held_out.without(source, chosen), target)
    if chosen.queries:
        if not there:
            held_out.write(source, chosen, dataset)
        print(
            f"{dataset}: {len(truth['qimlist'])} queries and {len(truth['imlist'])} images, held "
            "out to evaluate on"
        )
    elif arguments.held_out:
        print(
            f"nothing is held out to evaluate on: that takes two classes of "
            f"{held_out.FEWEST_IMAGES} images or more"
        )
    print(
        f"train on it: python -m senet_jax.main --config=configs/finetune.py:{target} "
        f"--workdir=runs/{target.name}"
    )


def _prepare_world(arguments: argparse.Namespace) -> None:
    from senet_jax.data import synthetic_landmarks

    sizes = dataclasses.asdict(world_sizes.SIZES[arguments.size])
    given = {name: getattr(arguments, name) for name in sizes}
    given = {name: value for name, value in given.items() if value is not None}
    world = synthetic_landmarks.World(**sizes | given)
    target = arguments.target
    with _drawing(arguments.processes) as draw:
        source = synthetic_landmarks.training_source(world, draw)
        _prepare(source, target / synthetic_landmarks.NAME)
        for split, datasets in synthetic_landmarks.DATASETS.items():
            synthetic_landmarks.write_evaluation(world, split, target, draw)
            print(f"wrote {target}: {', '.join(datasets)} ({split})")


def _prepare_distractors(arguments: argparse.Namespace) -> None:
    from senet_jax.data import synthetic_landmarks

    with _drawing(arguments.processes) as draw:
        folder = synthetic_landmarks.write_distractors(arguments.target, arguments.count, draw)
    print(
        f"wrote {folder}: {arguments.count:,} pictures; in an evaluation of {arguments.target}: "
        f"--config.distractors={folder.name}"
    )


def _drawing(processes: int) -> "contextlib.AbstractContextManager[Draw]":
    from senet_jax.data.synthetic_landmarks import drawing

    if not 1 <= processes <= _MOST_PROCESSES:
        raise UserError(f"--processes is {processes}; give 1 to {_MOST_PROCESSES}")
    return drawing(processes)


if __name__ == "__main__":
    run_command(main)
