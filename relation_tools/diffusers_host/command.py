"""The work of ``python -m relation_tools edit``, with its libraries loaded."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path

import torch
from PIL import Image

from relation_core.errors import ExemplarError, PictureError, RelationAdapterError, printable
from relation_core.keeping.keep import keep_unedited
from relation_core.pictures.comparison import comparison_sheet, relation_sheet
from relation_core.pictures.picture_file import read_picture
from relation_core.pictures.tensors import from_pil, to_pil
from relation_core.progress import Progress
from relation_core.relation.pairs import Pair, pair_up
from relation_core.relation.relation import Relation
from relation_core.weights.lock import BusyError

from .identity import edit_identity, read_identity, result_identity
from .jobs import EditJob, JobError, ResultNameError, claimed, is_there, plan_jobs, save_picture
from .opening import open_pipeline
from .pipeline import RelationPipeline
from .sampling import Prompt
from .settings import EditSettings, KeepSettings

ProgressBar = Callable[[str], AbstractContextManager[Progress]]
"""Shows progress under a name."""
_SMALL_PAIRS = 4
"""Pictures of a relation's pairs on a sheet."""
_LOG = logging.getLogger(__name__)


@dataclass
class _Findings:
    """The outcomes of all pictures."""

    edited: int = 0
    kept: int = 0
    """Results that already exist."""
    busy: list[Path] = field(default_factory=list[Path])
    """Sources that another process is editing."""
    stale: list[Path] = field(default_factory=list[Path])
    """Results of another source, or of other settings or models."""
    unknown: list[Path] = field(default_factory=list[Path])
    """Results without a record of what they were made from."""
    failed: list[str] = field(default_factory=list[str])

    def report(self, count: int, out: Path) -> int:
        """Report the findings, and return the exit status."""
        there = f", {self.kept} were there already" if self.kept else ""
        _LOG.info("%d of %d pictures edited%s: %s", self.edited, count - self.kept, there, printable(str(out)))
        if self.unknown:
            _LOG.warning(
                "%d of those that were there do not say what they were made of, and were left as they are: %s.",
                *(len(self.unknown), _names(self.unknown)),
            )
        if self.busy:
            _LOG.warning("%d pictures are being edited by another process: %s.", len(self.busy), _names(self.busy))
        if self.stale:
            _LOG.error(
                "%d results were made of another source, or with other settings or models, and were left as they are: "
                "%s. Choose another folder, or add --overwrite to replace them.",
                *(len(self.stale), _names(self.stale)),
            )
        for message in self.failed:
            _LOG.error("%s", message)
        if self.failed:
            _LOG.error("%d of %d pictures failed.", len(self.failed), count)
        return 1 if self.failed or self.stale else 0


def edit_pictures(options: argparse.Namespace, progress_bar: ProgressBar) -> int:
    """Edit the sources that the options name; return the exit status.

    Raises:
        RelationAdapterError: nothing can be done.
    """
    settings = EditSettings(**{one.name: getattr(options, one.name) for one in fields(EditSettings)})
    keep = _keep_settings(options)
    jobs = _shared(plan_jobs(options.source, options.out, options.overwrite), options)
    pairs = _read_pairs(options)
    edit, found = _identity(options, settings, keep), _Findings()
    waiting = [job for job in jobs if _is_waiting(job, options.overwrite, edit, found)]
    if not jobs:
        _LOG.info("Share %s of the pictures holds none; nothing to do.", options.shard)
        return 0
    if not waiting:
        if not found.failed and not found.stale:
            _LOG.info("All %d results are there already; nothing to do.", found.kept)
        return found.report(len(jobs), options.out)
    pipeline = open_pipeline(options, sees_pairs=bool(pairs))
    relation = _relation(options, pipeline, pairs, progress_bar)
    sheet = None if options.no_comparison else _sheet(pairs, relation)
    editing = _Editing(pipeline, relation, pipeline.prompt(options.prompt), settings, keep, edit, sheet)
    with progress_bar("steps") as progress:
        progress.start(settings.steps * len(waiting))
        for job in waiting:
            with _failing_alone(job, found):
                _edit(job, editing, options.overwrite, found, progress)
    if found.busy and len(jobs) == 1:
        raise BusyError(
            f"Another process is editing '{printable(str(options.out))}'. Expected no other: wait for it to finish and "
            "run again, or choose another place."
        )
    return found.report(len(jobs), options.out)


def _shared(jobs: list[EditJob], options: argparse.Namespace) -> list[EditJob]:
    """Pick this machine's share.

    Raises:
        JobError: a single picture cannot be shared.
    """
    if options.shard is None:
        return jobs
    if not options.source.is_dir():
        raise JobError(f"--shard {options.shard} is given for one picture; expected a folder of sources. Leave it out.")
    return options.shard.of(jobs)


@contextmanager
def _failing_alone(job: EditJob, found: _Findings) -> Generator[None]:
    """Record an error of one picture, and go on with the others.

    Raises:
        JobError: it concerns all pictures: nothing can be written.
    """
    try:
        yield
    except (PictureError, ResultNameError) as error:
        found.failed.append(str(error))
    except JobError:
        raise
    except RelationAdapterError as error:
        found.failed.append(f"Cannot edit '{printable(str(job.source))}': {error}")
    except (MemoryError, torch.OutOfMemoryError):
        name = printable(str(job.source))
        found.failed.append(f"Cannot edit '{name}': out of memory. Give --long-side, or --offload.")


@dataclass(frozen=True)
class _Editing:
    """The edit that is made of every source."""

    pipeline: RelationPipeline
    relation: Relation
    prompt: Prompt
    settings: EditSettings
    keep: KeepSettings | None
    identity: str
    sheet: Callable[[Image.Image, Image.Image], Image.Image] | None
    """Lays a source and its result beside the exemplars; None: no sheet is wanted."""


def _edit(job: EditJob, editing: _Editing, overwrite: bool, found: _Findings, progress: Progress) -> None:
    with claimed(job) as own:
        if not own:
            found.busy.append(job.source)
            return
        if not _is_waiting(job, overwrite, editing.identity, found):  # another process has just finished it
            return
        identity = _made_of(job, editing.identity)
        source = read_picture(job.source)
        result = editing.pipeline.edit(editing.relation, source, editing.prompt, editing.settings, progress)
        if editing.keep is not None:
            result = _kept(source, result, editing.keep)
        if editing.sheet is not None:
            save_picture(editing.sheet(source, result), job.comparison)
        save_picture(result, job.result, identity)  # last, so that every result has its sheet
        found.edited += 1


def _keep_settings(options: argparse.Namespace) -> KeepSettings | None:
    """Read what the options say of keeping; None without it.

    Raises:
        RelationAdapterError: a setting is out of its range, or given without ``--keep``.
    """
    keep = KeepSettings(**{one.name: getattr(options, one.name) for one in fields(KeepSettings)})
    if not options.keep and keep != KeepSettings():
        raise RelationAdapterError("--keep-threshold, --keep-grow and --keep-feather need --keep. Add it.")
    return keep if options.keep else None


def _kept(source: Image.Image, result: Image.Image, keep: KeepSettings) -> Image.Image:
    settings = keep.keep_threshold, keep.keep_grow, keep.keep_feather
    return to_pil(keep_unedited(from_pil(source), from_pil(result), *settings).image)[0]


def _is_waiting(job: EditJob, overwrite: bool, edit: str, found: _Findings) -> bool:
    """Whether a result has to be made; otherwise the reason is added to the findings."""
    try:
        if not is_there(job.result) or overwrite:
            return True
        made_of, wanted = read_identity(job.result), _made_of(job, edit)
    except (PictureError, ResultNameError) as error:
        found.failed.append(str(error))
        return False
    if made_of is not None and made_of != wanted:
        found.stale.append(job.result)
        return False
    if made_of is None:
        found.unknown.append(job.result)
    found.kept += 1
    return False


def _made_of(job: EditJob, edit: str) -> str:
    try:
        return result_identity(edit, job.source)
    except OSError as error:
        name = f"the picture '{printable(str(job.source))}'"
        raise PictureError(name, error.strerror or str(error), "Check the path.") from error


def _identity(options: argparse.Namespace, settings: EditSettings, keep: KeepSettings | None) -> str:
    try:
        return edit_identity(options, settings, keep)
    except OSError as error:
        raise ExemplarError(f"Cannot read an exemplar: {error}. Check the path.") from error


def _names(paths: Sequence[Path]) -> str:
    shown = ", ".join(printable(path.name) for path in paths[:10])
    return shown + (", ..." if len(paths) > 10 else "")


def _sheet(pairs: list[Pair], relation: Relation) -> Callable[[Image.Image, Image.Image], Image.Image]:
    if pairs:
        return lambda source, result: comparison_sheet((*pairs[0], source, result))
    small = [Image.fromarray(pixels.numpy()) for pixels in relation.thumbnails[:_SMALL_PAIRS]]
    return lambda source, result: relation_sheet(small, source, result)


def _relation(options: argparse.Namespace, pipeline: RelationPipeline, pairs: list[Pair], bar: ProgressBar) -> Relation:
    if options.relation is not None:
        with bar("relation") as progress:
            return pipeline.load_relation(options.relation, progress)
    weights: list[float] = options.weight or [1.0] * len(pairs)
    with bar("exemplars") as progress:
        return pipeline.relation(pairs, weights, options.fit, progress)


def _read_pairs(options: argparse.Namespace) -> list[Pair]:
    """Read the exemplar pairs; there are none if a relation is given.

    Raises:
        ExemplarError: there are neither pairs nor a relation, or both.
    """
    before: list[Path] = options.before or []
    after: list[Path] = options.after or []
    if (options.relation is None) == (not before and not after and not options.weight):
        found = "neither exemplar pairs nor a relation" if options.relation is None else "a relation and exemplar pairs"
        raise ExemplarError(f"Got {found}; expected one of them. Give --before and --after, or --relation.")
    return [(read_picture(one), read_picture(other)) for one, other in pair_up(before, after)]
