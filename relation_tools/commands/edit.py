"""``python -m relation_tools edit``: the edit of exemplar pairs or of a relation, applied without ComfyUI."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from relation_core.flux.solvers import SOLVERS
from relation_core.settings.bounds import WEIGHT

from ..diffusers_host.settings import FAST, EditSettings, KeepSettings
from ..diffusers_host.shard import read_shard
from .bar import progress_bar
from .extras import HEADLESS, require
from .model_options import add_fit, add_models
from .number_option import NumberOption, add_numbers

EXTRA = "headless"
NEEDS = HEADLESS
_SETTINGS = {
    "steps": "sampling steps",
    "guidance": "distilled guidance",
    "strength": "how strongly the relation acts; 0 is the model without it",
    "double_strength": "times the strength, in the double-stream blocks",
    "single_strength": "times the strength, in the single-stream blocks",
    "start": "share of sampling at which the relation starts acting",
    "end": "share of sampling at which it stops acting",
    "seed": "of the noise, which is ComfyUI's for that seed",
    "long_side": "pixels of the result's longer side; 0 keeps the source's size",
    "source_scale": "below 1 the model sees the source smaller",
    "refresh_every": "compute the source every so many steps: higher is faster, 1 is exact",
}

_KEEPING = {
    "keep_threshold": "how far a colour must be off, from 0 to 1, to count as edited; 0 derives it from each picture",
    "keep_grow": "pixels by which the edited part is widened",
    "keep_feather": "pixels over which the edited part fades out",
}


def add_commands(command: argparse.ArgumentParser) -> None:
    """Describe the command."""
    _add_pictures(command.add_argument_group("pictures"))
    add_models(command.add_argument_group("models"))
    _add_sampling(command.add_argument_group("sampling; the defaults are the authors'"))
    _add_keeping(command.add_argument_group("what is not edited"))
    command.set_defaults(run=_run)


def _add_sampling(group: Any) -> None:
    recipe = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in FAST.items())
    group.add_argument(
        "--fast", action="store_true", help=f"the fast recipe: {recipe}, but for those that are given themselves"
    )
    add_numbers(group, EditSettings(), _SETTINGS)
    group.add_argument("--solver", choices=tuple(SOLVERS), help=f"of the sampling equation ({EditSettings().solver})")
    group.set_defaults(**dict.fromkeys(FAST))


def fill_in(options: argparse.Namespace) -> None:
    """Give the options that the fast recipe sets, and that were not given, its values or the usual ones."""
    usual = EditSettings()
    for name, value in FAST.items():
        if getattr(options, name) is None:
            setattr(options, name, value if options.fast else getattr(usual, name))


def _add_keeping(group: Any) -> None:
    group.add_argument(
        "--keep",
        action="store_true",
        help="give back the source's own pixels where the edit changed nothing; a global edit stays as it is",
    )
    add_numbers(group, KeepSettings(), _KEEPING)


def _add_pictures(group: Any) -> None:
    for name, what in (("before", "the exemplar before the edit"), ("after", "the same picture after it")):
        group.add_argument(f"--{name}", action="append", type=Path, metavar="FILE", help=f"{what}; once for every pair")
    group.add_argument(
        "--weight",
        action="append",
        type=NumberOption(WEIGHT),
        metavar="NUMBER",
        help="weight of a pair relative to the others; once for every pair (1)",
    )
    add_fit(group)
    group.add_argument(
        "--relation",
        type=Path,
        metavar="FILE",
        help="a relation that `encode`, `tune` or ComfyUI's Save Relation wrote, in place of pairs",
    )
    group.add_argument(
        "--source", required=True, type=Path, metavar="PATH", help="the picture to edit, or a folder of pictures"
    )
    group.add_argument(
        "-o", "--out", required=True, type=Path, metavar="PATH", help="the result's file, or a folder for the results"
    )
    group.add_argument(
        "--shard",
        type=read_shard,
        metavar="I/N",
        help="of a folder, edit share I of N only, so that N machines share the work",
    )
    group.add_argument("--prompt", default="", help="the edit in words")
    group.add_argument("--overwrite", action="store_true", help="replace existing results")
    group.add_argument("--no-comparison", action="store_true", help="write no sheet of A : A' :: B : B'")


def _run(options: argparse.Namespace) -> int:
    require(EXTRA, *NEEDS)
    fill_in(options)
    from ..diffusers_host.command import edit_pictures  # noqa: PLC0415 - loads all of them

    return edit_pictures(options, lambda what: progress_bar(what, EXTRA))
