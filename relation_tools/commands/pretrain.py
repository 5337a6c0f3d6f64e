"""``python -m relation_tools pretrain``: the frozen parts of a small model."""

from __future__ import annotations

import argparse
from pathlib import Path

from relation_core.settings.bounds import COUNT, COUNT_OR_NONE, LEARNING_RATE, SEED

from .extras import PICTURES, require
from .number_option import NumberOption

EXTRA = "training"
NEEDS = (*PICTURES, "torch", "transformers", "safetensors")


def add_commands(group: argparse.ArgumentParser) -> None:
    """Describe the commands."""
    commands = group.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in (
        ("autoencoder", "train a small autoencoder on pictures of landscapes"),
        ("vision", "train a small SigLIP vision model on pictures of landscapes"),
    ):
        command = commands.add_parser(name, help=summary, description=summary)
        command.add_argument(
            "output", type=Path, metavar="OUT", help="a folder; after a crash, run the same command again"
        )
        command.add_argument("--pictures", type=Path, required=True, help="a folder that `dataset landscapes` wrote")
        command.add_argument("--steps", type=NumberOption(COUNT), default=10_000, help="(%(default)s)")
        command.add_argument("--batch-size", type=NumberOption(COUNT), default=32, help="(%(default)s)")
        command.add_argument("--seed", type=NumberOption(SEED), default=0, help="(%(default)s)")
        command.add_argument(
            "--save-every", type=NumberOption(COUNT), default=500, help="steps between two states (%(default)s)"
        )
        command.add_argument("--learning-rate", type=NumberOption(LEARNING_RATE), default=1e-3, help="(%(default)s)")
        command.set_defaults(run=_pretrain)
        if name == "autoencoder":
            command.add_argument(
                "--encoder-steps",
                type=NumberOption(COUNT_OR_NONE),
                default=0,
                help="freeze the encoder after N steps (never)",
            )


def _pretrain(options: argparse.Namespace) -> None:
    require(EXTRA, *NEEDS)
    from ..training.landscape_autoencoder import pretrain_landscape_autoencoder  # noqa: PLC0415 - optional
    from ..training.landscape_vision import pretrain_landscape_vision  # noqa: PLC0415
    from ..training.pretraining import PretrainingOptions  # noqa: PLC0415

    settings = PretrainingOptions(
        options.output,
        options.steps,
        options.batch_size,
        options.learning_rate,
        seed=options.seed,
        decay=options.steps * 2 // 5,
        save_every=options.save_every,
    )
    if options.command == "vision":
        pretrain_landscape_vision(options.pictures, settings)
    else:
        pretrain_landscape_autoencoder(options.pictures, settings, options.encoder_steps)
