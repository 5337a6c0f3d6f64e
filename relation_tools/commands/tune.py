"""``python -m relation_tools tune``: a relation learned from pairs of pictures before and after an edit."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from relation_core.settings.bounds import COUNT_OR_NONE, GUIDANCE, LEARNING_RATE, LONG_SIDE, SAMPLING_STEPS, SEED
from relation_core.tuning.settings import BATCH_SIZE, LEARNING_STEPS

from .bar import loss_bar, progress_bar
from .extras import HEADLESS, require
from .model_options import add_fit, add_models
from .number_option import NumberOption

EXTRA = "training"
NEEDS = (*HEADLESS, "matplotlib")


def add_commands(command: argparse.ArgumentParser) -> None:
    """Describe the command."""
    command.description = (
        "Learn the exemplar tokens of a relation from a few pairs, and write them as a relation file. Interrupted, the "
        "same command goes on where it was."
    )
    _add_pairs(command.add_argument_group("pairs"))
    add_models(command.add_argument_group("models"))
    _add_learning(command.add_argument_group("learning"))
    command.set_defaults(run=_run)


def _add_pairs(group: Any) -> None:
    for name, what in (("before", "a picture before the edit"), ("after", "the same picture after it")):
        group.add_argument(
            f"--{name}",
            action="append",
            type=Path,
            metavar="PATH",
            help=f"{what}, once for every pair; or a folder, with equal names in both folders",
        )
    group.add_argument("--dataset", type=Path, metavar="FILE", help="a run-ready .jsonl in place of pictures")
    group.add_argument("--task", metavar="NAME", help="the task of the dataset to learn, if it has several")
    group.add_argument(
        "--hold-out",
        type=NumberOption(COUNT_OR_NONE),
        default=0,
        metavar="N",
        help="measure on the last N pairs and keep the step that is best on them (%(default)s)",
    )
    add_fit(group)
    group.add_argument("-o", "--out", required=True, type=Path, metavar="FILE", help="the relation's .safetensors")
    group.add_argument("--overwrite", action="store_true", help="replace FILE, and what is left of an earlier run")


def _add_learning(group: Any) -> None:
    group.add_argument("--start", type=Path, metavar="FILE", help="a relation to start from (the mean of the pairs')")
    group.add_argument("--prompt", default="", help="the edit in words")
    for name, default, bounds, what in (
        ("steps", 400, LEARNING_STEPS, "steps of learning"),
        ("learning-rate", 0.15, LEARNING_RATE, "at the first step, in units of the tokens' root mean square"),
        ("batch-size", 16, BATCH_SIZE, "pairs, noise levels and noises a step"),
        ("seed", 0, SEED, "of noise and order"),
        ("guidance", 3.5, GUIDANCE, "distilled guidance"),
        ("long-side", 512, LONG_SIDE, "pixels of the pictures' longer side; 0 keeps their sizes"),
        ("sheet-steps", 24, SAMPLING_STEPS, "sampling steps of the sheet's results"),
    ):
        group.add_argument(
            f"--{name}", type=NumberOption(bounds), default=default, metavar="NUMBER", help=f"{what} (%(default)s)"
        )


def _run(options: argparse.Namespace) -> None:
    require(EXTRA, *NEEDS)
    from ..tuning.command import tune_relation  # noqa: PLC0415 - loads all of them

    tune_relation(
        options,
        lambda what: progress_bar(what, EXTRA),
        lambda total, done: loss_bar(total, done, EXTRA),
    )
