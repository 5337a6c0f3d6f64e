"""What ``python -m relation_tools edit`` does, once its libraries are there."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import fields
from pathlib import Path

from PIL import Image

from relation_core.errors import ExemplarError, PictureError
from relation_core.pictures.comparison import comparison_sheet
from relation_core.pictures.picture_file import read_picture
from relation_core.progress import Progress
from relation_core.relation.pairs import Pair, pair_up
from relation_core.relation.relation import Relation

from .jobs import EditJob, plan_jobs, save_picture
from .opening import open_pipeline
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
    pairs = _read_pairs(options)
    if not jobs:
        _LOG.info("All %d results are there already; nothing to do.", kept)
        return 0
    pipeline = open_pipeline(options)
    relation = _relation(options, pipeline, pairs, progress_bar)
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
            if pairs and not options.no_comparison:
                _compare(job, pairs[0], source, result)
            save_picture(result, job.result)  # last: where a result is, its sheet is too
    there = f", {kept} were there already" if kept else ""
    _LOG.info("%d of %d pictures edited%s: %s", len(jobs) - len(failed), len(jobs), there, options.out)
    for message in failed:
        _LOG.error("%s", message)
    return 1 if failed else 0


def _relation(options: argparse.Namespace, pipeline: RelationPipeline, pairs: list[Pair], bar: ProgressBar) -> Relation:
    if options.relation is not None:
        with bar("relation") as progress:
            return pipeline.load_relation(options.relation, progress)
    weights: list[float] = options.weight or [1.0] * len(pairs)
    with bar("exemplars") as progress:
        return pipeline.relation(pairs, weights, options.fit, progress)


def _read_pairs(options: argparse.Namespace) -> list[Pair]:
    """Read the exemplar pairs; none where a relation stands for them.

    Raises:
        ExemplarError: there are neither pairs nor a relation, or both.
    """
    before: list[Path] = options.before or []
    after: list[Path] = options.after or []
    if (options.relation is None) == (not before and not after and not options.weight):
        found = "neither exemplar pairs nor a relation" if options.relation is None else "a relation and exemplar pairs"
        raise ExemplarError(f"Got {found}; expected one of them. Give --before and --after, or --relation.")
    return [(read_picture(one), read_picture(other)) for one, other in pair_up(before, after)]


def _compare(job: EditJob, pair: Pair, source: Image.Image, result: Image.Image) -> None:
    save_picture(comparison_sheet((*pair, source, result)), job.comparison)
