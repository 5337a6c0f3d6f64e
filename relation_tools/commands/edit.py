"""``python -m relation_tools edit``: the edit of exemplar pairs or of a relation, applied without ComfyUI."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from relation_core.settings.bounds import WEIGHT

from ..address import read_place
from ..diffusers_host.settings import KeepSettings
from ..diffusers_host.shard import read_shard
from .bar import progress_bar
from .extras import HEADLESS, require
from .model_options import add_fit, add_models
from .number_option import NumberOption, add_numbers
from .ray_options import add_ray, check_ray
from .sampling_options import add_sampling, fill_in

EXTRA = "headless"
NEEDS = HEADLESS
_KEEPING = {
    "keep_threshold": "how far a colour must be off, from 0 to 1, to count as edited; 0 derives it from each picture",
    "keep_grow": "pixels by which the edited part is widened",
    "keep_feather": "pixels over which the edited part fades out",
}


def add_commands(command: argparse.ArgumentParser) -> None:
    """Describe the command."""
    _add_pictures(command.add_argument_group("pictures"))
    add_models(command.add_argument_group("models"))
    add_sampling(command.add_argument_group("sampling; the defaults are the authors'"))
    _add_keeping(command.add_argument_group("what is not edited"))
    add_ray(command.add_argument_group("many processes and machines"))
    command.set_defaults(run=_run)


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
        "--source",
        required=True,
        type=read_place,
        metavar="PATH",
        help="the picture to edit, or a folder of pictures; also an address that fsspec reads, such as s3://bucket/photos",
    )
    group.add_argument(
        "-o",
        "--out",
        required=True,
        type=read_place,
        metavar="PATH",
        help="the result's file, or a folder for the results; also such an address",
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
    check_ray(options)
    require(EXTRA, *NEEDS)
    fill_in(options)
    from ..diffusers_host.command import edit_pictures  # noqa: PLC0415 - loads all of them

    return edit_pictures(options, lambda what: progress_bar(what, EXTRA))
