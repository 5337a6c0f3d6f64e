"""``python -m relation_tools train``."""

from __future__ import annotations

import argparse
from pathlib import Path

from relation_core.errors import RelationAdapterError
from relation_core.settings.bounds import COUNT, Bounds

from .bar import progress_bar
from .extras import TRAINING, MissingLibraryError, require
from .number_option import NumberOption
from .shown import print_lines

EXTRA = "training"
NEEDS = TRAINING


def add_commands(group: argparse.ArgumentParser) -> None:
    """Describe the command."""
    group.add_argument("settings", type=Path, metavar="CONFIG.toml", help="what to train, by the settings below")
    group.add_argument(
        "--plan", action="store_true", help="say what the run would hold where, without loading or training anything"
    )
    group.add_argument(
        "--card",
        type=NumberOption(Bounds(0.0, above=True)),
        metavar="GB",
        help="with --plan: the card's memory in GB (that of the present one)",
    )
    group.add_argument("--processes", type=NumberOption(COUNT), metavar="N", help="with --plan: GPUs (1)")
    group.add_argument("--fsdp", action="store_true", help="with --plan: FSDP divides the model among them")
    group.set_defaults(run=_train, more_help=_settings_help)


def _train(options: argparse.Namespace) -> None:
    require(EXTRA, *NEEDS)
    from ..training.settings import RunSettings  # noqa: PLC0415 - optional
    from ..training.settings_file import read_settings  # noqa: PLC0415
    from ..training.trainer import train  # noqa: PLC0415

    settings = read_settings(options.settings, RunSettings)
    if options.plan:
        from ..training.planning.command import plan_lines  # noqa: PLC0415
        from ..training.planning.plan import Launch  # noqa: PLC0415

        processes = options.processes or 1
        launch = Launch(processes, options.fsdp and processes > 1, settings.device == "cpu" and options.card is None)
        print_lines(plan_lines(settings, launch, options.card))
        return
    _check_plan_options(options)
    require("trackers", *settings.records.trackers)
    train(settings, lambda what: progress_bar(what, EXTRA))


def _check_plan_options(options: argparse.Namespace) -> None:
    """Refuse what only a plan takes.

    Raises:
        RelationAdapterError: it was given to a run, whose processes a launcher starts.
    """
    given = [name for name in ("card", "processes", "fsdp") if getattr(options, name) not in (None, False)]
    if given:
        raise RelationAdapterError(
            f"--{given[0]} is given without --plan; expected both, since it changes the plan alone. Add --plan. To "
            "train in several processes: torchrun --nproc_per_node GPUS -m relation_tools train CONFIG.toml."
        )


def _settings_help() -> str:
    try:
        require(EXTRA, "pydantic")
    except MissingLibraryError as error:
        return f"The settings are not listed. {error}\n"
    from ..training.settings_table import settings_help  # noqa: PLC0415 - optional

    return settings_help()
