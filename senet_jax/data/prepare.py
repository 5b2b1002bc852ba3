"""Makes a dataset to train on, in the format of TFDS, from photographs or from a generated world.

Every image is decoded once. What is missing or unreadable is left out, counted and listed in the
dataset's report.json. A run that was broken off goes on where it was when it is started again.
"""

import argparse
import dataclasses
import os
import pathlib

from senet_jax.data import gldv2, image_folder, synthetic_landmarks
from senet_jax.data.image_source import ImageSource
from senet_jax.errors import CommandParser, run_command
from senet_jax.files import local_path

WORLDS = {"tiny": synthetic_landmarks.TINY, "demo": synthetic_landmarks.DEMO}


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
    command.set_defaults(
        prepare=lambda given: _prepare(image_folder.image_folder(given.images), given.target)
    )

    command = commands.add_parser(
        synthetic_landmarks.NAME, help="generated landmarks: to train on, to validate, to evaluate"
    )
    command.add_argument(
        "--target", type=local_path, required=True, help="the folder of all datasets"
    )
    command.add_argument("--size", choices=WORLDS, default="demo", help="default: %(default)s")
    for field in dataclasses.fields(synthetic_landmarks.World):
        command.add_argument(f"--{field.name}", type=int, help="in place of the size's own")
    command.set_defaults(prepare=_prepare_world)

    arguments = parser.parse_args()
    arguments.prepare(arguments)


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


def _prepare_world(arguments: argparse.Namespace) -> None:
    sizes = [field.name for field in dataclasses.fields(synthetic_landmarks.World)]
    given = {name: getattr(arguments, name) for name in sizes}
    given = {name: value for name, value in given.items() if value is not None}
    world = dataclasses.replace(WORLDS[arguments.size], **given)
    target = arguments.target
    _prepare(synthetic_landmarks.training_source(world), target / synthetic_landmarks.NAME)
    for split, datasets in synthetic_landmarks.DATASETS.items():
        synthetic_landmarks.write_evaluation(world, split, target)
        print(f"wrote {target}: {', '.join(datasets)} ({split})")


if __name__ == "__main__":
    run_command(main)
