"""Makes the tables of the paper: trainings of variants and seeds, or a list of systems.

  python -m senet_jax.study ablations --workdir=runs/study --world=runs/study/world --seeds=5
  python -m senet_jax.study systems --workdir=runs/systems --data_root=datasets --datasets=photos \
      --systems='random:lite0:0; pretrained:lite0; pretrained:lite0+alpha_qe; weights/r50'
  python -m senet_jax.study photographs --workdir=runs/photographs --data_root=datasets --seeds=5
  python -m senet_jax.study landmarks --workdir=runs/landmarks --data_root=datasets --seeds=5
  python -m senet_jax.study report runs/study/results/results.json --to=RESULTS.md

s1 to s5 are the tables of the paper's supplement, s1_trained is s1 with a re-ranker that is trained
for each network, ablations is s3, s4 and s5, and all is all: on generated landmarks, by
configs/study.py, which says the protocol. photographs and landmarks compare
heads on a trunk that was trained on ImageNet, by configs/photographs.py and configs/landmarks.py.
Tables share their runs, and a study that was stopped goes on when the same command is given again.
"""

import argparse
import contextlib
import pathlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from senet_jax.study.plan import (
    COMPARISONS,
    HEAD_COMPARISONS,
    LANDMARK_COMPARISONS,
    LANDMARKS,
    TRUNK_ALONE,
    WORLD,
    Comparison,
    variants_of,
)
from senet_jax.system.errors import CommandParser, UserError, run_command, shown
from senet_jax.system.files import local_path, write_json
from senet_jax.system.process import interruptible, locked_workdir

if TYPE_CHECKING:
    from senet_jax.study.heads import HeadsPlan
    from senet_jax.study.results import Results

RESULTS, COSTS, FOLDER = "results.json", "costs.json", "results"
_SETS = {**{name: [name] for name in sorted(COMPARISONS)}, "all": list(COMPARISONS)}
_SETS["ablations"] = ["s3", "s4", "s5"]
_MOST_JOBS, _MOST_SEEDS = 256, 1000


def main() -> None:
    """Reads the flags and makes what they name."""
    parser = CommandParser(prog="python -m senet_jax.study", description=__doc__)
    commands = parser.add_subparsers(metavar="WHAT", required=True)
    for name, tables in _SETS.items():
        what = COMPARISONS[name].title if name in COMPARISONS else f"{', '.join(tables)}"
        command = commands.add_parser(name, help=what)
        _add_common(command)
        _add_world(command, WORLD.size)
        _add_seeds(command)
        _add_distractors(
            command, "a set in the world, such as that of data.prepare synthetic_distractors"
        )
        command.set_defaults(make=_train, tables=tables)

    command = commands.add_parser("photographs", help="heads that are trained on photographs")
    _add_common(command)
    _add_data_root(command)
    command.add_argument(
        "--train",
        type=local_path,
        metavar="DIR",
        help="the photographs to train on, a folder for each landmark; default: "
        "DATA_ROOT/photos_train",
    )
    _add_seeds(command)
    command.set_defaults(make=_train_on_photographs)

    command = commands.add_parser("landmarks", help="heads that are trained on generated landmarks")
    _add_common(command)
    _add_world(command, LANDMARKS.size)
    command.add_argument(
        "--data_root",
        type=local_path,
        metavar="DIR",
        help="evaluate them on photos and miniphotos there as well",
    )
    _add_seeds(command)
    command.set_defaults(make=_train_on_landmarks)

    command = commands.add_parser("systems", help="weights and re-rankings on real photographs")
    _add_common(command)
    _add_data_root(command)
    command.add_argument("--datasets", required=True, help="names, separated by commas")
    command.add_argument(
        "--systems",
        required=True,
        metavar="LIST",
        help="WEIGHTS[+whiten][+METHOD,...], several joined by semicolons; WEIGHTS is a folder or "
        "a source of convert, such as pretrained:lite0; a METHOD is one of rerank",
    )
    _add_distractors(command, "such as revisitop1m for the +1M columns")
    command.set_defaults(make=_evaluate)

    command = commands.add_parser("report", help="one Markdown file of the results of studies")
    command.add_argument("results", type=local_path, nargs="+", metavar="RESULTS.json")
    command.add_argument("--to", type=local_path, required=True, metavar="FILE.md")
    command.set_defaults(make=_report)

    flags = parser.parse_args()
    flags.make(flags)


def _add_common(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--workdir", type=local_path, required=True, metavar="DIR", help="for all that is made"
    )
    command.add_argument(
        "--results",
        type=local_path,
        metavar="DIR",
        help="for results.json, tables and figures; default: WORKDIR/results",
    )
    command.add_argument(
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="runs at once, each with its share of the cores; default: %(default)s",
    )
    command.add_argument(
        "--set",
        type=_change,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="what --config.KEY=VALUE changes in the runs, reranker.KEY=VALUE in the trainings of "
        "re-rankers; may be given several times",
    )


def _add_data_root(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--data_root", type=local_path, required=True, metavar="DIR", help="of the datasets"
    )


def _add_world(command: argparse.ArgumentParser, size: str) -> None:
    command.add_argument(
        "--world",
        type=local_path,
        metavar="DIR",
        help=f"made by data.prepare synthetic_landmarks --size={size} --seed=1; default: "
        "WORKDIR/world",
    )


def _add_seeds(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--seeds", type=int, default=5, help="trainings of each variant; default: %(default)s"
    )
    command.add_argument(
        "--variants",
        default="",
        metavar="NAME,...",
        help="these rows of the tables alone, as their config calls them; default: all",
    )


def _add_distractors(command: argparse.ArgumentParser, which: str) -> None:
    command.add_argument(
        "--distractors",
        default="",
        metavar="NAME",
        help=f"evaluate everything with these as well: {which}",
    )


def _change(text: str) -> str:
    """`epochs=3.0` -> `--config.epochs=3.0`."""
    if not text.partition("=")[1]:
        raise argparse.ArgumentTypeError(f"{shown(text)} is not KEY=VALUE")
    return f"--config.{text}"


def _train(flags: argparse.Namespace) -> None:
    from senet_jax.study.processes import check_faults, run_all
    from senet_jax.study.trainings import TrainingPlan

    _check(flags.seeds, "--seeds", _MOST_SEEDS)
    variants = _variants(flags, [COMPARISONS[name] for name in flags.tables])
    given = flags.workdir, _world(flags), variants, flags.seeds, tuple(flags.set)
    plan = TrainingPlan(*given, flags.distractors)
    folder = flags.results or flags.workdir / FOLDER
    with _at_work(flags):
        budget = plan.budget()  # Refuses wrong settings, which would keep the workdir from others.
        plan.claim()
        for what, figures in budget:
            print(f"{what:8}{figures}", flush=True)
        runs = plan.runs()
        faults = run_all(
            runs, flags.jobs, "steps", lambda run: plan.results().write(folder / RESULTS)
        )
        _finish(plan.results(), folder)
        write_json(folder / COSTS, plan.costs())
        check_faults(faults, runs)


def _train_on_photographs(flags: argparse.Namespace) -> None:
    from senet_jax.study.heads import PhotographHeads

    train = flags.train or flags.data_root / "photos_train"
    given = _given_of_heads(flags, HEAD_COMPARISONS.values())
    _train_heads(flags, PhotographHeads(**given, data_root=flags.data_root, photographs=train))


def _train_on_landmarks(flags: argparse.Namespace) -> None:
    from senet_jax.study.heads import LandmarkHeads

    given = _given_of_heads(flags, LANDMARK_COMPARISONS.values())
    _train_heads(flags, LandmarkHeads(**given, world=_world(flags), data_root=flags.data_root))


def _given_of_heads(flags: argparse.Namespace, tables: Iterable[Comparison]) -> dict[str, Any]:
    _check(flags.seeds, "--seeds", _MOST_SEEDS)
    return {
        "workdir": flags.workdir,
        "seeds": flags.seeds,
        "changes": tuple(flags.set),
        "variants": tuple(_variants(flags, tables)),
    }


def _variants(
    flags: argparse.Namespace, tables: Iterable[Comparison]
) -> dict[str, tuple[str, ...]]:
    """The rows that are trained, with the methods by which they are re-ranked."""
    rows = variants_of(tables)
    rows.pop(TRUNK_ALONE, None)  # It is there without a training.
    wanted = flags.variants.split(",") if flags.variants else rows
    for name in wanted:
        if name not in rows:
            raise UserError(f"--variants names {shown(name)}; there are {', '.join(rows)}")
    return {name: methods for name, methods in rows.items() if name in wanted}


def _world(flags: argparse.Namespace) -> pathlib.Path:
    return flags.world or flags.workdir / "world"


def _train_heads(flags: argparse.Namespace, plan: "HeadsPlan") -> None:
    from senet_jax.study.processes import check_faults, run_all

    folder = flags.results or flags.workdir / FOLDER
    with _at_work(flags):
        runs = plan.runs()
        plan.claim()
        left = sum(not run.is_done() for run in runs)
        print(f"runs    {len(runs)}, {left} of them to do", flush=True)
        # The trunk's weights and maps are made by the first two, and shared by all others.
        for some, jobs in ((runs[:2], 1), (runs, flags.jobs)):
            ended = run_all(some, jobs, "runs", lambda run: plan.results().write(folder / RESULTS))
            check_faults(ended, some)
        _finish(plan.results(), folder)


def _evaluate(flags: argparse.Namespace) -> None:
    from senet_jax.study.processes import check_faults, run_all
    from senet_jax.study.systems import SystemsPlan, parse_systems

    systems = tuple(parse_systems(flags.systems))
    given = flags.workdir, flags.data_root, flags.datasets, systems, tuple(flags.set)
    plan = SystemsPlan(*given, flags.distractors)
    with _at_work(flags):
        for works in (plan.conversions, plan.evaluations):
            runs = works()
            check_faults(run_all(runs, flags.jobs, "systems", lambda run: None), runs)
        _finish(plan.results(), flags.results or flags.workdir / FOLDER)


def _report(flags: argparse.Namespace) -> None:
    from senet_jax.study.results import read_results
    from senet_jax.study.written import write_report

    titles = [path.stem for path in flags.results]
    if len(set(titles)) < len(titles):
        raise UserError(f"two files are called {shown(max(titles, key=titles.count))}; rename one")
    studies = dict(zip(titles, map(read_results, flags.results), strict=True))
    write_report(studies, flags.to)
    print(f"wrote {flags.to}")


@contextlib.contextmanager
def _at_work(flags: argparse.Namespace) -> Iterator[None]:
    """Holds the workdir; the runs have the devices, this process none."""
    import jax

    _check(flags.jobs, "--jobs", _MOST_JOBS)
    jax.config.update("jax_platforms", "cpu")

    def saved() -> str:
        return f"what is done is kept in {flags.workdir}; the same command goes on from there"

    with locked_workdir(flags.workdir), interruptible(saved):
        yield


def _check(value: int, name: str, most: int) -> None:
    if not 1 <= value <= most:
        raise UserError(f"{name} is {value}; give 1 to {most}")


def _finish(results: "Results", folder: pathlib.Path) -> None:
    from senet_jax.study.written import write_parts

    results.write(folder / RESULTS)
    for table in write_parts(results, folder):
        print(table.to_text())
    print(f"wrote {folder / RESULTS}, and the tables and figures beside it")


if __name__ == "__main__":
    run_command(main)
