"""``python -m relation_tools train``."""

from __future__ import annotations

import argparse
from pathlib import Path

from .bar import progress_bar
from .extras import TRAINING, MissingLibraryError, require

EXTRA = "training"
NEEDS = TRAINING


def add_commands(group: argparse.ArgumentParser) -> None:
    """Describe the command."""
    group.add_argument("settings", type=Path, metavar="CONFIG.toml", help="what to train, by the settings below")
    group.set_defaults(run=_train, more_help=_settings_help)


def _train(options: argparse.Namespace) -> None:
    require(EXTRA, *NEEDS)
    from ..training.settings import RunSettings  # noqa: PLC0415 - optional
    from ..training.settings_file import read_settings  # noqa: PLC0415
    from ..training.trainer import train  # noqa: PLC0415

    settings = read_settings(options.settings, RunSettings)
    require("trackers", *settings.records.trackers)
    train(settings, lambda what: progress_bar(what, EXTRA))


def _settings_help() -> str:
    try:
        require(EXTRA, "pydantic")
    except MissingLibraryError as error:
        return f"The settings are not listed. {error}\n"
    from ..training.settings_table import settings_help  # noqa: PLC0415 - optional

    return settings_help()
