"""``python -m relation_tools measure``."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from relation_core.errors import DatasetError, printable
from relation_core.settings.bounds import COUNT, GUIDANCE, LONG_SIDE, SAMPLING_STEPS, SEED
from relation_core.weights.atomic import appearing

from .bar import progress_bar
from .extras import HEADLESS, require
from .model_options import add_quantize
from .number_option import NumberOption
from .shown import print_lines

if TYPE_CHECKING:
    from ..diffusers_host.models import ModelFiles
    from ..training.accuracy import Accuracy
    from ..training.flow_sampling import Exemplars
    from ..training.landscape_measuring import SplitAccuracy

EXTRA = "training"
NEEDS = (*HEADLESS, "pydantic")
_WORDS: dict[Exemplars, str] = {
    "own": "with its exemplars",
    "wrong": "with exemplars of another relation",
    "blank": "with white pictures as exemplars",
    "none": "at strength 0",
}
_LOG = logging.getLogger(__name__)


def add_commands(group: argparse.ArgumentParser) -> None:
    """Describe the command."""
    group.add_argument(
        "file", type=Path, nargs="?", metavar="FILE", help="a run-ready .jsonl with every source under many tasks"
    )
    group.add_argument(
        "--landscapes",
        type=NumberOption(COUNT),
        metavar="COUNT",
        help="instead of FILE: this many questions on new painted landscapes, of each split",
    )
    group.add_argument("--model", type=Path, required=True, help="the Flux: a file, or a folder in diffusers' form")
    add_quantize(group)
    group.add_argument("--adapter", type=Path, required=True, help="the adapter's file")
    group.add_argument("--vision", type=Path, required=True, help="the SigLIP vision model")
    group.add_argument("--vae", type=Path, help="the autoencoder; not for a whole pipeline's folder")
    group.add_argument("--lora", type=Path, action="append", default=[], help="a LoRA; repeatable")
    group.add_argument("--cache", type=Path, help="a folder for what pictures of FILE are encoded to")
    group.add_argument("--samples", type=NumberOption(COUNT), default=500, help="(%(default)s)")
    group.add_argument("--tasks", nargs="+", default=[], help="only these")
    group.add_argument(
        "--long-side", type=NumberOption(LONG_SIDE), default=512, help="of pictures; 0 keeps their size (%(default)s)"
    )
    group.add_argument("--steps", type=NumberOption(SAMPLING_STEPS), default=24, help="of sampling (%(default)s)")
    group.add_argument("--guidance", type=NumberOption(GUIDANCE), default=3.5, help="(%(default)s)")
    group.add_argument("--seed", type=NumberOption(SEED), help="of the choice and of the noise (0; 1000 of landscapes)")
    group.add_argument("--device", default="cpu", help="(%(default)s)")
    group.add_argument("--output", "-o", type=Path, help="a .json file for the figures")
    group.set_defaults(run=_measure)


def _measure(options: argparse.Namespace) -> None:
    require(EXTRA, *NEEDS)
    from ..diffusers_host.models import ModelFiles  # noqa: PLC0415 - optional

    loras = tuple(options.lora)
    files = ModelFiles(options.model, options.adapter, options.vision, options.vae, None, loras, options.quantize)
    if options.landscapes is not None:
        lines, record = _on_landscapes(files, options)
    elif options.file is None or options.cache is None:
        raise DatasetError("Expected a FILE and --cache, or --landscapes: give what is to be measured on.")
    else:
        lines, record = _on_file(files, options)
    print_lines(lines)
    if options.output is not None:
        with appearing(options.output) as unfinished:
            unfinished.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        _LOG.info("The figures are in %s.", options.output)


def _on_file(files: ModelFiles, options: argparse.Namespace) -> tuple[list[str], dict[str, object]]:
    from ..training.measuring import MeasuringOptions, measure_files  # noqa: PLC0415 - optional

    shared = {name: getattr(options, name) for name in ("cache", "samples", "long_side", "steps", "guidance", "device")}
    how = MeasuringOptions(**shared, tasks=tuple(options.tasks), seed=options.seed or 0)
    with progress_bar("pictures", EXTRA) as progress:
        found = measure_files(options.file, files, how, progress)
    return _table(found), _record(found)


def _on_landscapes(files: ModelFiles, options: argparse.Namespace) -> tuple[list[str], dict[str, object]]:

    from ..training.landscape_measuring import SEED, LandscapeMeasuring, measure_landscapes  # noqa: PLC0415

    seed = SEED if options.seed is None else options.seed
    how = LandscapeMeasuring(options.landscapes, options.steps, options.guidance, seed, options.device)
    with progress_bar("questions", EXTRA) as progress:
        found = measure_landscapes(files, how, progress)
    lines = ["".ljust(36) + "".join(split.rjust(14) for split in found)]
    for shown, words in _WORDS.items():
        lines.append(words.ljust(36) + "".join(f"{accuracy.right[shown]:14.1%}" for accuracy in found.values()))
    errors = ["-" if accuracy.degrees is None else f"{accuracy.degrees:.0f}" for accuracy in found.values()]
    lines += ["degrees off, median".ljust(36) + "".join(error.rjust(14) for error in errors), ""]
    for split, accuracy in found.items():
        lines += [f"{split}: {name}".ljust(36) + f"{right:5} of {asked}" for name, (right, asked) in _sorted(accuracy)]
    return lines, {split: asdict(accuracy) for split, accuracy in found.items()}


def _sorted(accuracy: SplitAccuracy) -> list[tuple[str, tuple[int, int]]]:
    return sorted(accuracy.families.items())


def _table(found: Mapping[Exemplars, Accuracy]) -> list[str]:
    own = found["own"]
    wide = max(len(printable(task)) for task in [*own.asked, *_WORDS.values()]) + 2
    lines = [f"{_WORDS[shown].ljust(wide)}{accuracy.share:7.1%}" for shown, accuracy in found.items()]
    lines += [f"{'by chance'.ljust(wide)}{own.chance:7.1%}", ""]
    for task in sorted(own.asked):
        lines.append(f"{printable(task).ljust(wide)}{own.right[task] / own.asked[task]:7.1%} of {own.asked[task]}")
    return lines


def _record(found: Mapping[Exemplars, Accuracy]) -> dict[str, object]:
    shares = {
        shown: {"share": accuracy.share, "asked": accuracy.asked, "right": accuracy.right}
        for shown, accuracy in found.items()
    }
    return {"chance": found["own"].chance, **shares}
