"""``python -m relation_tools pretrain``: the frozen parts of a small model."""

from __future__ import annotations

import argparse
from pathlib import Path

from .extras import require

EXTRA = "training"


def add_commands(group: argparse.ArgumentParser) -> None:
    """Describe the commands."""
    commands = group.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in (
        ("autoencoder", "train a small autoencoder on synthetic pictures"),
        ("vision", "train a small SigLIP vision model on synthetic pictures"),
    ):
        command = commands.add_parser(name, help=summary, description=summary)
        command.add_argument("output", type=Path, metavar="OUT", help="a folder; run again to go on after a kill")
        command.add_argument("--steps", type=int, default=10_000, help="(%(default)s)")
        command.add_argument("--batch-size", type=int, default=32, help="(%(default)s)")
        command.add_argument("--seed", type=int, default=0, help="(%(default)s)")
        command.set_defaults(run=_pretrain)


def _pretrain(options: argparse.Namespace) -> None:
    for library in ("transformers", "safetensors"):
        require(library, library, EXTRA)
    from ..training.pretrain_autoencoder import pretrain_autoencoder  # noqa: PLC0415 - optional
    from ..training.pretrain_vision import pretrain_vision  # noqa: PLC0415
    from ..training.pretraining import PretrainingOptions  # noqa: PLC0415

    settings = PretrainingOptions(
        options.output, options.steps, options.batch_size, seed=options.seed, decay=options.steps * 2 // 5
    )
    {"autoencoder": pretrain_autoencoder, "vision": pretrain_vision}[options.command](settings)
