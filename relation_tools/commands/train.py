"""``python -m relation_tools train``."""

from __future__ import annotations

import argparse
from pathlib import Path

from .bar import progress_bar
from .extras import TRAINING, require

EXTRA = "training"
NEEDS = TRAINING


def add_commands(group: argparse.ArgumentParser) -> None:
    """Describe the command."""
    group.add_argument("settings", type=Path, metavar="CONFIG.toml", help="what to train; see docs/training.md")
    group.set_defaults(run=_train)


def _train(options: argparse.Namespace) -> None:
    require(EXTRA, *NEEDS)
    from ..training.settings import RunSettings  # noqa: PLC0415 - optional
    from ..training.settings_file import read_settings  # noqa: PLC0415
    from ..training.trainer import train  # noqa: PLC0415

    train(read_settings(options.settings, RunSettings), lambda what: progress_bar(what, EXTRA))
