"""The samples of an evaluation, edited by this engine in place of ComfyUI servers, into the same folder of a run."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from relation_core.errors import RelationAdapterError
from relation_core.pictures.picture_file import read_picture
from relation_core.progress import Progress
from relation_core.samples.samples import Sample

from ..evaluation.journal import Entry, Journal, last_entries, read_journal
from ..evaluation.run_folder import RunFolder
from ..evaluation.runner import RunSummary, contents_of, is_current
from .identity import read_identity, samples_identity
from .jobs import JobError, save_picture
from .models import ModelFiles
from .opening import open_pipeline
from .pipeline import RelationPipeline
from .settings import EditSettings

HEADLESS = "headless"
"""What the journal has in a server's place."""


@dataclass(frozen=True)
class SampleOrder:
    """How every sample is edited, before any model is loaded."""

    options: argparse.Namespace
    """Of the command: models, ``fit``, ``no_texts`` and ``ray``."""
    settings: EditSettings
    folder: Path
    """What the samples' paths are relative to."""
    run: RunFolder

    def identity(self) -> str:
        """Fingerprint all that results depend on except their samples; files that are missing are named later."""
        return samples_identity(self.options, self.settings)


@dataclass(frozen=True)
class SampleOutcome:
    """How a sample ended."""

    made_of: str
    """Names the contents of the pictures that it was made of."""
    failure: str = ""


def edit_samples(order: SampleOrder, samples: Sequence[Sample], journal: Journal, progress: Progress) -> RunSummary:
    """Edit every sample that has no result of its pictures yet.

    Raises:
        RelationAdapterError: nothing can be done.
    """
    _check_texts(order.options, samples)
    last = last_entries(read_journal(order.run.journal))
    waiting = [sample for sample in samples if not _is_done(order, sample, last.get(sample.index))]
    progress.start(len(samples))
    for _ in range(len(samples) - len(waiting)):
        progress.step()
    failed: dict[int, str] = {}
    for sample, outcome in _outcomes(order, waiting) if waiting else ():
        if outcome.failure:
            failed[sample.index] = outcome.failure
        event = "failed" if outcome.failure else "done"
        journal.add(Entry(event, sample.index, HEADLESS, message=outcome.failure, made_of=outcome.made_of))
        progress.step()
    return RunSummary(len(samples) - len(failed), failed)


def _check_texts(options: argparse.Namespace, samples: Sequence[Sample]) -> None:
    """Name the first text if nothing can read it, and let models be loaded for it.

    Raises:
        RelationAdapterError: there is no text encoder.
    """
    texts = [sample.text for sample in samples if sample.text] if not options.no_texts else []
    options.prompt = texts[0] if texts else ""
    if texts and ModelFiles(options.model, options.adapter, None, text=options.text).text_folder() is None:
        raise RelationAdapterError(
            f"The samples have texts, such as '{texts[0][:80]}', and there is no text encoder to read them. Name a "
            "FLUX.1 pipeline's folder with --text, or add --no-texts to leave them out."
        )


def _is_done(order: SampleOrder, sample: Sample, entry: Entry | None) -> bool:
    result = order.run.result(sample.index)
    if not result.exists():
        return False
    made_of = read_identity(result)
    recorded = entry if made_of is None else Entry("done", sample.index, made_of=made_of)
    return is_current(sample, recorded, order.folder)


def _outcomes(order: SampleOrder, samples: Sequence[Sample]) -> Generator[tuple[Sample, SampleOutcome]]:
    if order.options.ray is None:
        work = _made_ready(order, order.identity())
        for sample in samples:
            yield sample, work([sample])[0]
        return
    from ..spread.cluster import cluster  # noqa: PLC0415 - Ray's libraries, which only this needs
    from ..spread.spreading import Lost, spread  # noqa: PLC0415

    with cluster(order.options.ray, order.options.workers, order.options.device != "cpu") as where:
        for sample, outcome in spread(where, samples, partial(_made_ready, order, order.identity())):
            if isinstance(outcome, Lost):
                yield sample, SampleOutcome(contents_of(sample, order.folder), outcome.reason())
            else:
                yield sample, outcome


def _made_ready(order: SampleOrder, identity: str) -> Callable[[list[Sample]], list[SampleOutcome]]:
    """Make this process ready to edit samples.

    Raises:
        RelationAdapterError: a model cannot be loaded, or is another one than where the command runs.
    """
    if order.identity() != identity:
        raise RelationAdapterError(
            "A worker found other models at the paths that were given than the machine that runs the command. Expected "
            "the same files on every machine: use a shared folder."
        )
    pipeline = open_pipeline(order.options, sees_pairs=True)
    return lambda samples: [_edited(order, pipeline, sample) for sample in samples]


def _edited(order: SampleOrder, pipeline: RelationPipeline, sample: Sample) -> SampleOutcome:
    """Edit a sample, and write its result.

    Raises:
        RelationAdapterError: it concerns all samples.
    """
    made_of = contents_of(sample, order.folder)
    prompt = pipeline.prompt("" if order.options.no_texts else sample.text)
    try:
        before, after, source = (read_picture(order.folder / name) for name in sample.pictures[:3])
        relation = pipeline.relation([(before, after)], [1.0], order.options.fit)
        result = pipeline.edit(relation, source, prompt, order.settings)
        save_picture(result, order.run.result(sample.index), made_of)
    except JobError:
        raise
    except RelationAdapterError as error:
        return SampleOutcome(made_of, str(error))
    except (MemoryError, torch.OutOfMemoryError):
        return SampleOutcome(made_of, "out of memory. Give --long-side, --offload or --offload-blocks.")
    return SampleOutcome(made_of)
