"""Score the results of an evaluation; what was scored before by the same models is not scored again."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from relation_core.errors import printable
from relation_core.progress import Progress
from relation_core.samples.samples import Sample
from relation_core.settings.bounds import COUNT, check_settings

from .batch_scoring import JUDGE, Batch, BatchScorer, ScoredBatch
from .errors import EvaluationError
from .run_folder import RunFolder
from .scorer import Maker, Scorer
from .scores import SampleScores, read_scores, write_scores

_PAUSE = 30.0
"""Seconds from one writing of the scores so far to the next."""
_LOG = logging.getLogger(__name__)
Score = Callable[[Sequence[Batch]], Iterable[tuple[Batch, ScoredBatch | str]]]
"""Scores batches, and gives each with how it ended or with why its samples were given up, in any order."""


@dataclass(frozen=True)
class ScoringOptions:
    """How samples are scored."""

    batch_size: Annotated[int, COUNT] = 8
    """Samples that a model sees at a time."""

    def __post_init__(self) -> None:
        check_settings(self, EvaluationError)


def finished_samples(samples: Iterable[Sample], run: RunFolder) -> list[Sample]:
    """Keep the samples that have a result.

    Raises:
        EvaluationError: none has.
    """
    found = [sample for sample in samples if run.result(sample.index).exists()]
    if not found:
        raise EvaluationError(f"'{run.folder}' holds no results. Run `evaluate run` first.")
    return found


def score_samples(
    samples: Sequence[Sample],
    file: Path,
    run: RunFolder,
    scorers: Sequence[Scorer],
    progress: Progress,
    failed: dict[int, str],
    judge: str = "",
    options: ScoringOptions | None = None,
) -> list[SampleScores]:
    """Score results, and write ``scores.jsonl``.

    Scores that it has are kept: those of other scorers, and those that the same models gave to the same pictures.

    Args:
        samples: those that have a result.
        file: they are of this one.
        run: where the results are.
        scorers: what to score with.
        progress: told of every sample.
        failed: samples that have no scores, or not all of them, are added to it, with what is to be said of them.
        judge: the model whose judgements count; all that are there if empty.
        options: how to score.
    """
    scorer = BatchScorer(file, run, scorers, judge)
    return score_by(lambda some: ((batch, scorer(batch)) for batch in some), samples, run, progress, failed, options)


def score_by(
    score: Score,
    samples: Sequence[Sample],
    run: RunFolder,
    progress: Progress,
    failed: dict[int, str],
    options: ScoringOptions | None = None,
) -> list[SampleScores]:
    """The same, with the samples scored by whatever ``score`` is.

    Raises:
        EvaluationError: it is several processes, whose models are not the same.
    """
    known = {one.index: one for one in _earlier(run)}
    broken: set[int] = set()
    makers: Mapping[str, Maker] = {}

    def scores() -> list[SampleScores]:
        return [known[one.index] for one in samples if one.index in known and one.index not in broken]

    progress.start(len(samples))
    written = time.monotonic()
    for batch, ended in score(_batches(samples, known, (options or ScoringOptions()).batch_size)):
        if isinstance(ended, str):  # what the samples had may still hold
            failed.update((sample.index, f"was not scored: {ended}") for sample in batch.samples)
        else:
            makers = _same(makers or ended.makers, ended.makers)
            known.update({one.index: one for one in ended.scores})
            broken.update(ended.failed)
            failed.update((index, f"was not scored: {reason}") for index, reason in ended.failed.items())
            failed.update((index, f"lacks a score: {reason}") for index, reason in ended.lacking.items())
        for _ in batch.samples:
            progress.step()
        if time.monotonic() > written + _PAUSE:
            write_scores(run, scores())
            written = time.monotonic()
    found = scores()
    write_scores(run, found)
    _warn_of_judges(found)
    return found


def _batches(samples: Sequence[Sample], known: Mapping[int, SampleScores], size: int) -> list[Batch]:
    parts = [samples[start : start + size] for start in range(0, len(samples), size)]
    return [Batch(part, {one.index: known[one.index] for one in part if one.index in known}) for part in parts]


def _same(expected: Mapping[str, Maker], found: Mapping[str, Maker]) -> Mapping[str, Maker]:
    """Check a process's models.

    Raises:
        EvaluationError: they are not those of another process.
    """
    for name, maker in found.items():
        if expected.get(name) != maker:
            raise EvaluationError(
                f"The workers' models for '{name}' differ: one found '{printable(maker.model)}' with other weights or "
                "by another version than another worker. Expected the same files and libraries on every machine: use "
                "a shared folder."
            )
    return found


def _earlier(run: RunFolder) -> list[SampleScores]:
    if not run.scores.exists():
        return []
    try:
        return read_scores(run)
    except EvaluationError:
        _LOG.warning("'%s' is damaged; its samples are scored anew.", run.scores)
        return []


def _warn_of_judges(scores: Sequence[SampleScores]) -> None:
    judges = Counter(one.made_by[JUDGE].model for one in scores if JUDGE in one.made_by)
    if len(judges) > 1:
        _LOG.warning(
            "The judgements are by different models (%s), whose scores cannot be compared. Add --judge to have all of "
            "them by one.",
            ", ".join(f"{printable(model)}: {count}" for model, count in sorted(judges.items())),
        )
