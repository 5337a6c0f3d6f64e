"""One edit, made of one picture after another."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, fields
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

from .findings import Outcome
from .identity import edit_identity, read_identity, result_identity
from .jobs import EditJob, JobError, ResultNameError, claimed, is_there, save_picture
from .opening import open_pipeline
from .pipeline import RelationPipeline
from .sampling import Prompt
from .settings import EditSettings, KeepSettings

ProgressBar = Callable[[str], AbstractContextManager[Progress]]
"""Shows progress under a name."""
_SMALL_PAIRS = 4
"""Pictures of a relation's pairs on a sheet."""


@dataclass(frozen=True)
class Order:
    """What is to be done with every picture, before any model is loaded."""

    options: argparse.Namespace
    """Of the command."""
    settings: EditSettings
    keep: KeepSettings | None
    pairs: Sequence[Pair]
    """Exemplars; none if a relation stands for them."""
    identity: str
    """Of the edit: all that it depends on except the source."""

    @classmethod
    def read(cls, options: argparse.Namespace) -> Order:
        """Read what the options name.

        Raises:
            RelationAdapterError: it cannot be read, or contradicts itself.
        """
        settings = EditSettings(**{one.name: getattr(options, one.name) for one in fields(EditSettings)})
        keep, pairs = _keep_settings(options), _read_pairs(options)
        try:
            identity = edit_identity(options, settings, keep)
        except OSError as error:
            raise ExemplarError(f"Cannot read an exemplar: {error}. Check the path.") from error
        return cls(options, settings, keep, pairs, identity)

    def found(self, job: EditJob) -> Outcome | None:
        """What becomes of a picture that need not be edited; None if it must be."""
        try:
            if not is_there(job.result) or self.options.overwrite:
                return None
            made_of, wanted = read_identity(job.result), _made_of(job, self.identity)
        except (PictureError, ResultNameError) as error:
            return Outcome("failed", str(error))
        if made_of is None:
            return Outcome("unknown")
        return Outcome("kept" if made_of == wanted else "stale")


@dataclass(frozen=True)
class Editing:
    """An order, with its models loaded."""

    order: Order
    pipeline: RelationPipeline
    relation: Relation
    prompt: Prompt

    @classmethod
    def open(cls, order: Order, progress_bar: ProgressBar) -> Editing:
        """Load the models, and the relation or the pairs.

        Raises:
            RelationAdapterError: they cannot be loaded.
        """
        pipeline = open_pipeline(order.options, sees_pairs=bool(order.pairs))
        relation = _relation(order.options, pipeline, list(order.pairs), progress_bar)
        return cls(order, pipeline, relation, pipeline.prompt(order.options.prompt))

    def edit(self, job: EditJob, progress: Progress) -> Outcome:
        """Edit a picture, unless its result is there or another process is making it.

        Raises:
            JobError: nothing can be written.
        """
        outcomes: list[Outcome] = []
        with _failing_alone(job, outcomes), claimed(job) as own:
            outcomes.append((self.order.found(job) or self._edited(job, progress)) if own else Outcome("busy"))
        return outcomes[-1]

    def _edited(self, job: EditJob, progress: Progress) -> Outcome:
        identity = _made_of(job, self.order.identity)
        source = read_picture(job.source)
        result = self.pipeline.edit(self.relation, source, self.prompt, self.order.settings, progress)
        if self.order.keep is not None:
            result = _kept(source, result, self.order.keep)
        if not self.order.options.no_comparison:
            save_picture(self._sheet(source, result), job.comparison)
        save_picture(result, job.result, identity)  # last, so that every result has its sheet
        return Outcome("edited")

    def _sheet(self, source: Image.Image, result: Image.Image) -> Image.Image:
        """A source and its result beside the exemplars."""
        if self.order.pairs:
            return comparison_sheet((*self.order.pairs[0], source, result))
        small = [Image.fromarray(pixels.numpy()) for pixels in self.relation.thumbnails[:_SMALL_PAIRS]]
        return relation_sheet(small, source, result)


@contextmanager
def _failing_alone(job: EditJob, outcomes: list[Outcome]) -> Generator[None]:
    """Record an error of one picture.

    Raises:
        JobError: it concerns all pictures: nothing can be written.
    """
    try:
        yield
    except (PictureError, ResultNameError) as error:
        outcomes.append(Outcome("failed", str(error)))
    except JobError:
        raise
    except RelationAdapterError as error:
        outcomes.append(Outcome("failed", f"Cannot edit '{printable(str(job.source))}': {error}"))
    except (MemoryError, torch.OutOfMemoryError):
        name = printable(str(job.source))
        outcomes.append(
            Outcome("failed", f"Cannot edit '{name}': out of memory. Give --long-side, --offload or --offload-blocks.")
        )


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


def _made_of(job: EditJob, edit: str) -> str:
    try:
        return result_identity(edit, job.source)
    except OSError as error:
        name = f"the picture '{printable(str(job.source))}'"
        raise PictureError(name, error.strerror or str(error), "Check the path.") from error


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
