"""What ``python -m relation_tools edit`` does, once its libraries are there."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import fields

import torch
from diffusers.utils import logging as diffusers_logging
from PIL import Image
from transformers.utils import logging as transformers_logging

from relation_core.errors import PictureError, RelationAdapterError
from relation_core.pictures.comparison import comparison_sheet
from relation_core.pictures.picture_file import read_picture
from relation_core.progress import Progress
from relation_core.relation.pairs import Pair, pair_up
from relation_core.relation.relation import Relation

from .jobs import EditJob, plan_jobs, save_picture
from .models import ModelFiles, load_models
from .pipeline import RelationPipeline
from .settings import EditSettings

ProgressBar = Callable[[str], AbstractContextManager[Progress]]
"""Shows progress under a name."""
_LOG = logging.getLogger(__name__)


def edit_pictures(options: argparse.Namespace, progress_bar: ProgressBar) -> int:
    """Edit the sources that the options name; return the exit status.

    Raises:
        RelationAdapterError: nothing can be done.
    """
    settings = EditSettings(**{field.name: getattr(options, field.name) for field in fields(EditSettings)})
    jobs, kept = plan_jobs(options.source, options.out, options.overwrite)
    pairs = [(read_picture(before), read_picture(after)) for before, after in pair_up(options.before, options.after)]
    if not jobs:
        _LOG.info("All %d results are there already; nothing to do.", kept)
        return 0
    pipeline, relation = _prepare(options, pairs, progress_bar)
    prompt, failed = pipeline.prompt(options.prompt), list[str]()
    with progress_bar("steps") as progress:
        progress.start(settings.steps * len(jobs))
        for job in jobs:
            try:
                source = read_picture(job.source)
            except PictureError as error:
                failed.append(str(error))
                continue
            result = pipeline.edit(relation, source, prompt, settings, progress)
            if not options.no_comparison:
                _compare(job, pairs[0], source, result)
            save_picture(result, job.result)  # last: where a result is, its sheet is too
    there = f", {kept} were there already" if kept else ""
    _LOG.info("%d of %d pictures edited%s: %s", len(jobs) - len(failed), len(jobs), there, options.out)
    for message in failed:
        _LOG.error("%s", message)
    return 1 if failed else 0


def _prepare(
    options: argparse.Namespace, pairs: list[Pair], progress_bar: ProgressBar
) -> tuple[RelationPipeline, Relation]:
    for library in (diffusers_logging, transformers_logging):
        library.disable_progress_bar()
    device = _device(options.device, options.offload)
    files = ModelFiles(
        options.model, options.adapter, options.vision, options.vae, options.text, loras=tuple(options.lora)
    )
    files.check_prompt(options.prompt)
    models = load_models(files, _dtype(options.dtype, device), options.lora_strength)
    pipeline = RelationPipeline(models, device, options.offload)
    weights: list[float] = options.weight or [1.0] * len(pairs)
    with progress_bar("exemplars") as progress:
        return pipeline, pipeline.relation(pairs, weights, options.fit, progress)


def _compare(job: EditJob, pair: Pair, source: Image.Image, result: Image.Image) -> None:
    save_picture(comparison_sheet((*pair, source, result)), job.comparison)


def _device(name: str, offload: bool) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise RelationAdapterError(
            f"Cannot compute on '{name}' ({str(error).splitlines()[0]}). Expected cuda, mps or cpu: leave --device out "
            "to take the best there is."
        ) from error
    if offload and device.type == "cpu":
        raise RelationAdapterError(
            "There is nothing to offload, since models compute on the CPU; expected a GPU. Leave --offload out."
        )
    return device


def _dtype(name: str, device: torch.device) -> torch.dtype:
    if name == "auto":
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    return getattr(torch, name)
