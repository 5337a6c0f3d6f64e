"""``python -m relation_tools dataset``: build, validate, count and look at datasets."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from PIL import Image

from relation_core.errors import DatasetError, printable
from relation_core.files.json_file import read_json
from relation_core.samples.samples import PROBLEMS
from relation_core.settings.bounds import COUNT, COUNT_OR_NONE, SEED, Bounds
from relation_core.weights.atomic import appearing

from ..dataset.build import build
from ..dataset.landscapes import PAIRS, LandscapeOptions, write_landscapes
from ..dataset.options import BuildOptions
from ..dataset.sheet import choose_samples, draw_sheet
from ..dataset.splitting import Chunk, Divide, Outcome
from ..dataset.statistics import Statistics, statistics
from ..dataset.unseen_tasks import HeldOutTasks
from ..dataset.validation import run_ready_files, validate
from .bar import progress_bar
from .number_option import NumberOption
from .ray_options import add_ray, check_ray
from .shown import print_lines

EXTRA = "dataset"
PROCESSES = Bounds(1, 1024, whole=True)
SHEET_ROWS = Bounds(1, 1000, whole=True)
_LOG = logging.getLogger(__name__)


def add_commands(group: argparse.ArgumentParser) -> None:
    """Describe the commands."""
    commands = group.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_build(commands.add_parser("build", help="make a run-ready dataset of pairs of pictures"))
    for name, run, summary in (
        ("validate", _validate, "check a run-ready dataset; list what is wrong"),
        ("stats", _stats, "count samples by task and category, sizes, duplicates"),
    ):
        command = commands.add_parser(name, help=summary, description=summary)
        command.add_argument("path", type=Path, metavar="PATH", help="a run-ready .jsonl, or the folder of a build")
        command.set_defaults(run=run)
    _add_sheet(commands.add_parser("sheet", help="draw samples on a contact sheet"))
    _add_landscapes(commands.add_parser("landscapes", help="paint landscapes and relations as a run-ready dataset"))


def _add_build(command: argparse.ArgumentParser) -> None:
    defaults = BuildOptions()
    command.add_argument(
        "pairs",
        type=Path,
        metavar="PAIRS",
        help="a folder, list, table or archive of pairs, in any layout of docs/dataset.md",
    )
    command.add_argument(
        "out", type=Path, metavar="OUT", help="the folder to write; after a crash, run the same command again"
    )
    command.add_argument(
        "--per-task", type=NumberOption(COUNT), default=defaults.per_task, help="most samples per task (%(default)s)"
    )
    command.add_argument(
        "--test-pairs",
        type=NumberOption(COUNT_OR_NONE),
        default=defaults.test_pairs,
        help="pictures per task held out for testing (%(default)s)",
    )
    command.add_argument(
        "--hold-out-tasks",
        metavar="N|NAMES",
        default="0",
        help="whole tasks held out into unseen.jsonl: how many, or their names with commas between them (none)",
    )
    command.add_argument("--seed", type=NumberOption(SEED), default=defaults.seed, help="of the drawing (%(default)s)")
    command.add_argument("--categories", type=Path, help="a .json that maps tasks to categories")
    command.add_argument(
        "--processes", type=NumberOption(PROCESSES), default=os.cpu_count() or 1, help="(all processors)"
    )
    add_ray(command, "one a processor core")
    command.set_defaults(run=_build)


def _add_sheet(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", type=Path, metavar="FILE", help="a run-ready .jsonl")
    command.add_argument("picture", type=Path, metavar="PICTURE", help="the picture file to write")
    command.add_argument("--count", type=NumberOption(SHEET_ROWS), default=12, help="samples on it (%(default)s)")
    command.add_argument("--seed", type=NumberOption(SEED), default=0, help="of the choice (%(default)s)")
    command.add_argument("--task", help="samples of this task only")
    command.set_defaults(run=_sheet)


def _add_landscapes(command: argparse.ArgumentParser) -> None:
    defaults = LandscapeOptions()
    command.add_argument(
        "out", type=Path, metavar="OUT", help="the folder to write; after a crash, run the same command again"
    )
    command.add_argument(
        "--relations", type=NumberOption(COUNT), default=defaults.relations, help="each drawn once (%(default)s)"
    )
    command.add_argument(
        "--scenes", type=NumberOption(COUNT), default=defaults.scenes, help="unedited landscapes (%(default)s)"
    )
    command.add_argument(
        "--pairs", type=NumberOption(PAIRS), default=defaults.pairs, help="landscapes a relation (%(default)s)"
    )
    command.add_argument("--seed", type=NumberOption(SEED), default=defaults.seed, help="of all of them (%(default)s)")
    command.add_argument(
        "--processes", type=NumberOption(PROCESSES), default=os.cpu_count() or 1, help="(all processors)"
    )
    command.set_defaults(run=_landscapes)


def _build(options: argparse.Namespace) -> None:
    unseen = parse_tasks(options.hold_out_tasks)
    drawing = BuildOptions(options.per_task, options.test_pairs, options.seed, unseen)
    categories = read_categories(options.categories) if options.categories else {}
    check_ray(options)
    with progress_bar("pictures", EXTRA) as progress, _divider(options) as divide:
        summary = build(options.pairs, options.out, drawing, categories, options.processes, progress, divide)
    _LOG.info(
        "%d tasks, %d pictures: %d samples to train on, %d to test with.",
        *(summary.tasks, summary.pictures, summary.train_samples, summary.test_samples),
    )
    if summary.unseen_samples:
        _LOG.info("%d samples of unseen tasks.", summary.unseen_samples)
    if summary.broken or summary.duplicates or summary.notes:
        _LOG.info(
            "%d entries are broken, %d are duplicates, and there are %d notes: see %s.",
            *(summary.broken, summary.duplicates, summary.notes, options.out / PROBLEMS),
        )


def parse_tasks(text: str) -> HeldOutTasks:
    """Read how many tasks to hold out, or which."""
    if text.strip().isascii() and text.strip().isdigit():
        return int(text)
    return tuple(name for part in text.split(",") if (name := part.strip()))


@contextmanager
def _divider(options: argparse.Namespace) -> Generator[Divide | None]:
    """Ray's workers, where they are wanted."""
    if options.ray is None:
        yield None
        return
    from ..spread.cluster import cluster  # noqa: PLC0415 - Ray's libraries, which only this needs
    from ..spread.spreading import Lost, spread  # noqa: PLC0415

    with cluster(options.ray, options.workers, on_cards=False, on_cores=True) as where:

        def divide(chunks: Sequence[Chunk], make: Callable[[], Any]) -> Iterator[tuple[Chunk, list[Outcome]]]:
            for chunk, outcomes in spread(where, chunks, make):
                if isinstance(outcomes, Lost):
                    first = outcomes.reason(f"the pictures from '{chunk[1][0].picture}' on")
                    raise DatasetError(f"{first} Then run again: what is done stays done.")
                yield chunk, outcomes

        yield divide


def _landscapes(options: argparse.Namespace) -> None:
    drawn = LandscapeOptions(options.relations, options.scenes, options.pairs, options.seed)
    with progress_bar("pictures", EXTRA) as progress:
        samples = write_landscapes(options.out, drawn, options.processes, progress)
    _LOG.info("%d samples of %d relations in %s.", samples, drawn.relations, options.out)


def read_categories(file: Path) -> dict[str, str]:
    """Read a table of tasks and their categories.

    Raises:
        DatasetError: the file is not such a table.
    """
    try:
        table = read_json(file)
    except (OSError, ValueError) as error:
        raise DatasetError(f"Cannot read '{file}': {error}. Expected a JSON object of tasks and categories.") from error
    pairs = cast("dict[object, object]", table).items() if isinstance(table, dict) else [(None, None)]
    if not all(isinstance(name, str) and isinstance(category, str) for name, category in pairs):
        raise DatasetError(f'\'{file}\' is not a table of categories. Expected {{"task": "category", ...}}.')
    return cast("dict[str, str]", table)


def _validate(options: argparse.Namespace) -> int:
    files = run_ready_files(options.path)
    with progress_bar("pictures", EXTRA) as progress:
        found = validate(files, progress)
    lines = [*found.problems]
    for file in found.files:
        balance = "balanced" if file.imbalance <= 1 else f"uneven: uses of a task's pictures differ by {file.imbalance}"
        lines.append(f"{file.file.name}: {file.samples} samples of {len(file.pictures)} pictures; rotation {balance}")
    lines.append(f"{len(found.problems)} problems" if found.problems else "No problems.")
    print_lines(lines)
    return 1 if found.problems else 0


def _stats(options: argparse.Namespace) -> None:
    files = run_ready_files(options.path)
    with progress_bar("pictures", EXTRA) as progress:
        found = statistics(files, progress)
    print_lines(_table(found, [printable(file.name) for file in files], [file.name for file in files]))


def _table(found: Statistics, shown: list[str], files: list[str]) -> list[str]:
    wide = max([len(printable(task.name)) for task in found.samples] + [24]) + 2
    lines = ["task".ljust(wide) + "pictures".rjust(12) + "".join(name.rjust(14) for name in shown)]

    def row(name: str, pictures: int, samples: list[int]) -> str:
        return printable(name).ljust(wide) + f"{pictures:12,}" + "".join(f"{count:14,}" for count in samples)

    for category, tasks in found.categories().items():
        for task in tasks:
            counts = [found.samples[task].get(name, 0) for name in files]
            lines.append(row(f"  {task.name}", found.pictures[task], counts))
        counts = [sum(found.samples[task].get(name, 0) for task in tasks) for name in files]
        lines.append(row(f"{category}: {len(tasks)}", sum(found.pictures[task] for task in tasks), counts))
    lines += ["", "sizes of the halves: " + ", ".join(f"{size} ({n:,})" for size, n in list(found.sizes.items())[:12])]
    lines.append(f"files with the same pixels: {len(found.duplicates)} groups")
    lines += ["  " + ", ".join(group) for group in found.duplicates[:20]]
    lines += [f"unreadable: {name}" for name in found.unreadable]
    return lines


def _sheet(options: argparse.Namespace) -> None:
    samples = choose_samples(options.file, options.count, options.seed, options.task)
    sheet = draw_sheet(options.file.parent, samples)
    try:
        kind = Image.registered_extensions()[options.picture.suffix.lower()]
        with appearing(options.picture) as part:
            sheet.save(part, kind)
    except (OSError, ValueError, KeyError) as error:
        raise DatasetError(
            f"Cannot write '{options.picture}': {error}. Give a name that ends in .jpg or .png."
        ) from error
    _LOG.info("%d samples on %s", len(samples), options.picture)
