"""Options for how an edit is sampled, which several commands have."""

from __future__ import annotations

import argparse
from typing import Any

from relation_core.flux.solvers import SOLVERS

from ..diffusers_host.settings import FAST, EditSettings
from .number_option import add_numbers

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
    "refresh_every": "compute the source at one of so many steps: higher is faster, 1 is exact",
}


def add_sampling(group: Any) -> None:
    """Add the options; :func:`fill_in` completes what is parsed."""
    recipe = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in FAST.items())
    group.add_argument(
        "--fast", action="store_true", help=f"the fast recipe: {recipe}, but for those that are given themselves"
    )
    add_numbers(group, EditSettings(), _SETTINGS)
    group.add_argument("--solver", choices=tuple(SOLVERS), help=f"of the sampling equation ({EditSettings().solver})")
    group.add_argument(
        "--reuse-8bit", action="store_true", help="keep what is reused of the source in 8 bits: half the memory of 16"
    )
    group.set_defaults(**dict.fromkeys(FAST))


def fill_in(options: argparse.Namespace) -> None:
    """Give the options that the fast recipe sets, and that were not given, its values or the usual ones."""
    usual = EditSettings()
    for name, value in FAST.items():
        if getattr(options, name) is None:
            setattr(options, name, value if options.fast else getattr(usual, name))
