"""Runs the job that a config names: a training, of a network or its head, or an evaluation.

  python -m senet_jax.main --config=CONFIG[:NAME] --workdir=DIR [--config.KEY=VALUE ...]

A config is one of those below, by its name, or a Python file of your own.

A job that was ended resumes when the same command is given again. At its end it leaves a page,
report.html, beside its report.json.
"""

import pathlib
import sys
from collections.abc import Callable, Sequence

from senet_jax.command_line import expand_paths, parse_with_config, validate
from senet_jax.system.errors import CommandParser, UserError, run_command
from senet_jax.system.files import local_path


def main(arguments: Sequence[str] = sys.argv) -> None:
    """Reads the flags, checks the config, and runs its job."""
    parser = CommandParser(prog="python -m senet_jax.main", description=__doc__, add_help=False)
    parser.add_argument(
        "--workdir", type=local_path, metavar="DIR", help="the folder for all that the job writes"
    )
    parser.add_argument(
        "--distributed",
        metavar="HOST:PORT,COUNT,INDEX",
        help="work with several processes, this one being the INDEX-th of COUNT that meet at "
        "HOST:PORT; auto asks the launcher (TPU pod, Slurm, Kubernetes)",
    )
    flags, config = parse_with_config(parser, arguments[1:])
    if config is None or not flags.workdir:
        raise UserError("--config=CONFIG and --workdir=DIR are needed (see --help)")
    validate(config)
    expand_paths(config)
    from senet_jax.system.distributed import announce, join, parse_processes
    from senet_jax.system.runtime import tune_for_inference

    processes = None if flags.distributed is None else parse_processes(flags.distributed)
    if config.job in ("evaluate", "train_head"):  # The trunk of a head only infers.
        tune_for_inference()
    if processes is not None:
        join(processes)
    announce()
    _job(str(config.job))(config, flags.workdir)
    _write_page(flags.workdir)


def _job(name: str) -> Callable:
    """The function of a job; what another job would import is not."""
    if name == "train":
        from senet_jax.training.loop import train as job
    elif name == "train_pairs":
        from senet_jax.training.pairs.job import train_pairs as job
    elif name == "train_head":
        from senet_jax.training.heads import train_head as job
    else:
        from senet_jax.jobs.evaluate import evaluate as job
    return job


def _write_page(workdir: pathlib.Path) -> None:
    """Writes `report.html`; the job is done by then, so what is in the way is a warning."""
    import jax

    from senet_jax.report.html_report import write_html_report

    if jax.process_index() != 0:
        return
    try:
        print(f"wrote {write_html_report(workdir)}")
    except UserError as error:
        print(f"warning: there is no page of the results: {error}", file=sys.stderr)


if __name__ == "__main__":
    run_command(main)
