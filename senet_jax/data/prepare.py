"""Makes a dataset to train on, in the format of TFDS, from images that lie on disk.

Every image is decoded once. What is missing or unreadable is left out, counted and listed in the
dataset's report.json. A run that was broken off goes on where it was when it is started again.
"""

from senet_jax.data import gldv2, image_folder
from senet_jax.data.builder import REPORT_FILE, build
from senet_jax.errors import CommandParser, run_command


def main() -> None:
    """Makes what the command line names."""
    parser = CommandParser(prog="python -m senet_jax.data.prepare", description=__doc__)
    commands = parser.add_subparsers(metavar="NAME", required=True)

    command = commands.add_parser(gldv2.NAME, help="the cleaned Google Landmarks Dataset v2")
    command.add_argument("--csv", required=True, help="its list, train_clean.csv")
    command.add_argument("--images", required=True, help="the folder of its images, 0/ to f/")
    command.set_defaults(source=lambda given: gldv2.gldv2_clean(given.csv, given.images))

    command = commands.add_parser("folder", help="a folder of class folders")
    command.add_argument("--images", required=True, help="the folder of the class folders")
    command.set_defaults(source=lambda given: image_folder.image_folder(given.images))

    for command in commands.choices.values():
        command.add_argument("--target", required=True, help="the folder to be made")
    arguments = parser.parse_args()

    report = build(arguments.source(arguments), arguments.target)
    dropped = [f"{entry['count']} {reason}" for reason, entry in report["dropped"].items()]
    print(
        f"{arguments.target}: {report['images']} images of {report['classes']} classes "
        f"({report['classes_with_one_image']} have one image, {report['classes_without_image']} "
        f"have none); dropped: {', '.join(dropped) or 'none'} (see {REPORT_FILE})"
    )


if __name__ == "__main__":
    run_command(main)
