"""Score the results of an evaluation; what was scored before by the same models is not scored again."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

from relation_core.errors import PictureError, printable
from relation_core.progress import Progress
from relation_core.samples.samples import Sample, TaskTable
from relation_core.settings.bounds import COUNT, check_settings

from .errors import EvaluationError
from .judging import read_judgement
from .run_folder import RunFolder
from .sample_pictures import SamplePictures
from .scorer import Maker, Scorer, Values
from .scores import SampleScores, read_scores, write_scores

JUDGE = "judge"
"""What the judge's model is kept under."""
_PAUSE = 30.0
"""Seconds from one writing of the scores so far to the next."""
_LOG = logging.getLogger(__name__)


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
        failed: samples that cannot be scored are added to it, with the reason; they have no scores.
        judge: the model whose judgements count; all that are there if empty.
        options: how to score.
    """
    work = _Work(file, run, scorers, judge)
    options = options or ScoringOptions()
    progress.start(len(samples))
    waiting, written = iter(samples), time.monotonic()
    while batch := list(islice(waiting, options.batch_size)):
        work.score(batch, failed)
        for _ in batch:
            progress.step()
        if time.monotonic() > written + _PAUSE:
            write_scores(run, work.scores(samples, failed))
            written = time.monotonic()
    scores = work.scores(samples, failed)
    write_scores(run, scores)
    _warn_of_judges(scores)
    return scores


class _Work:
    """What is known of the samples, before and after they are scored."""

    def __init__(self, file: Path, run: RunFolder, scorers: Sequence[Scorer], judge: str) -> None:
        self._folder, self._run, self._scorers, self._judge = file.parent, run, scorers, judge
        self._tasks = TaskTable(file)
        self._known = {one.index: one for one in _earlier(run)}

    def score(self, batch: Sequence[Sample], failed: dict[int, str]) -> None:
        """Give some samples the scores that they lack."""
        prepared: dict[str, list[tuple[int, Any]]] = {scorer.name: [] for scorer in self._scorers}
        for sample in batch:
            pictures = SamplePictures(sample, self._folder, self._run)
            known = self._known[sample.index] = self._begun(sample, pictures)
            lacking = [one for one in self._scorers if known.made_by.get(one.name) != one.maker]
            try:
                own = [(scorer.name, scorer.prepare(pictures)) for scorer in lacking]
            except (PictureError, EvaluationError) as error:
                failed[sample.index] = f"{error} If it is a result, remove it and run the sample again."
                continue
            for name, item in own:
                prepared[name].append((sample.index, item))
        for scorer in self._scorers:
            found = scorer.score([item for _, item in prepared[scorer.name]]) if prepared[scorer.name] else []
            for (index, _), values in zip(prepared[scorer.name], found, strict=True):
                self._known[index].values.update(values)
                self._known[index].made_by[scorer.name] = scorer.maker

    def scores(self, samples: Iterable[Sample], failed: dict[int, str]) -> list[SampleScores]:
        """Return what is known, in the order of the samples."""
        indices = [sample.index for sample in samples if sample.index not in failed]
        return [self._known[index] for index in indices if index in self._known]

    def _begun(self, sample: Sample, pictures: SamplePictures) -> SampleScores:
        """A sample's scores that still hold."""
        task, made_of, old = self._tasks.task(sample), pictures.digest(), self._known.get(sample.index)
        kept = old if old is not None and old.made_of == made_of else SampleScores(sample.index, "", "")
        values, made_by = dict(kept.values), dict(kept.made_by)
        judgement = read_judgement(self._run, sample, self._folder, self._judge)
        judged: Values = {"consistency": None, "accuracy": None}
        made_by.pop(JUDGE, None)
        if judgement is not None:
            judged = {"consistency": judgement.consistency, "accuracy": judgement.accuracy}
            made_by[JUDGE] = Maker(judgement.model, judgement.model)
        values |= judged
        return SampleScores(sample.index, task.name, task.category, values, made_of, made_by, task.unseen)


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
