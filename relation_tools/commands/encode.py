"""``python -m relation_tools encode``: a relation file from exemplar pairs."""

from __future__ import annotations

import argparse
from pathlib import Path

from relation_core.settings.bounds import WEIGHT

from .bar import progress_bar
from .extras import PICTURES, require
from .model_options import add_computing, add_fit
from .number_option import NumberOption

EXTRA = "headless"
NEEDS = (*PICTURES, "einops", "safetensors", "torch", "transformers", "diffusers", "peft")


def add_commands(command: argparse.ArgumentParser) -> None:
    """Describe the command."""
    for name, what in (("before", "the exemplar before the edit"), ("after", "the same picture after it")):
        command.add_argument(
            f"--{name}", action="append", required=True, type=Path, metavar="FILE", help=f"{what}; once for every pair"
        )
    command.add_argument(
        "--weight",
        action="append",
        type=NumberOption(WEIGHT),
        metavar="NUMBER",
        help="weight of a pair relative to the others; once for every pair (1)",
    )
    add_fit(command)
    command.add_argument("--adapter", required=True, type=Path, metavar="PATH", help="the RelationAdapter")
    command.add_argument("--vision", required=True, type=Path, metavar="PATH", help="SigLIP")
    add_computing(command)
    command.add_argument("-o", "--out", required=True, type=Path, metavar="FILE", help="the relation's .safetensors")
    command.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    require(EXTRA, *NEEDS)
    from ..tuning.encoding import encode_file  # noqa: PLC0415 - loads all of them

    encode_file(options, lambda what: progress_bar(what, EXTRA))
