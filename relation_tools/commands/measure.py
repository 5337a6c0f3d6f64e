"""``python -m relation_tools measure``."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from relation_core.weights.atomic import appearing

from .bar import progress_bar
from .extras import require

if TYPE_CHECKING:
    from ..training.accuracy import Accuracy
    from ..training.flow_sampling import Exemplars

EXTRA = "training"
_WORDS: dict[Exemplars, str] = {
    "own": "with its exemplars",
    "wrong": "with exemplars of another relation",
    "blank": "with white pictures as exemplars",
    "none": "at strength 0",
}
_LOG = logging.getLogger(__name__)


def add_commands(group: argparse.ArgumentParser) -> None:
    """Describe the command."""
    group.add_argument("file", type=Path, metavar="FILE", help="a run-ready .jsonl with every source under many tasks")
    group.add_argument("--model", type=Path, required=True, help="the Flux: a file, or a folder in diffusers' form")
    group.add_argument("--adapter", type=Path, required=True, help="the adapter's file")
    group.add_argument("--vision", type=Path, required=True, help="the SigLIP vision model")
    group.add_argument("--vae", type=Path, help="the autoencoder; not for a whole pipeline's folder")
    group.add_argument("--lora", type=Path, action="append", default=[], help="a LoRA; may be repeated")
    group.add_argument("--cache", type=Path, required=True, help="a folder for what pictures are encoded to")
    group.add_argument("--samples", type=int, default=500, help="(%(default)s)")
    group.add_argument("--tasks", nargs="+", default=[], help="only these")
    group.add_argument("--long-side", type=int, default=512, help="of pictures; 0 keeps their size (%(default)s)")
    group.add_argument("--steps", type=int, default=24, help="of sampling (%(default)s)")
    group.add_argument("--guidance", type=float, default=3.5, help="(%(default)s)")
    group.add_argument("--seed", type=int, default=0, help="of the choice and of the noise (%(default)s)")
    group.add_argument("--device", default="cpu", help="(%(default)s)")
    group.add_argument("--output", "-o", type=Path, help="a .json file for the figures")
    group.set_defaults(run=_measure)


def _measure(options: argparse.Namespace) -> None:
    for library in ("diffusers", "transformers"):
        require(library, library, EXTRA)
    from ..diffusers_host.models import ModelFiles  # noqa: PLC0415 - optional
    from ..training.measuring import MeasuringOptions, measure_files  # noqa: PLC0415

    files = ModelFiles(options.model, options.adapter, options.vision, options.vae, loras=tuple(options.lora))
    tasks: tuple[str, ...] = tuple(options.tasks)
    shared = {name: getattr(options, name) for name in ("cache", "samples", "long_side", "steps", "guidance", "seed")}
    with progress_bar("pictures", None, EXTRA) as progress:
        found = measure_files(
            options.file, files, MeasuringOptions(**shared, tasks=tasks, device=options.device), progress
        )
    sys.stdout.write("\n".join(_table(found)) + "\n")
    if options.output is not None:
        with appearing(options.output) as unfinished:
            unfinished.write_text(json.dumps(_record(found), indent=2) + "\n", encoding="utf-8")
        _LOG.info("The figures are in %s.", options.output)


def _table(found: Mapping[Exemplars, Accuracy]) -> list[str]:
    own = found["own"]
    wide = max(len(task) for task in [*own.asked, *_WORDS.values()]) + 2
    lines = [f"{_WORDS[shown].ljust(wide)}{accuracy.share:7.1%}" for shown, accuracy in found.items()]
    lines += [f"{'by chance'.ljust(wide)}{own.chance:7.1%}", ""]
    for task in sorted(own.asked):
        lines.append(f"{task.ljust(wide)}{own.right[task] / own.asked[task]:7.1%} of {own.asked[task]}")
    return lines


def _record(found: Mapping[Exemplars, Accuracy]) -> dict[str, object]:
    shares = {
        shown: {"share": accuracy.share, "asked": accuracy.asked, "right": accuracy.right}
        for shown, accuracy in found.items()
    }
    return {"chance": found["own"].chance, **shares}
