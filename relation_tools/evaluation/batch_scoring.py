"""Score some samples at a time, in this process or in another one; what still holds is not scored again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relation_core.errors import PictureError
from relation_core.samples.samples import Sample, TaskTable

from .errors import EvaluationError
from .judging import read_judgement
from .run_folder import RunFolder
from .sample_pictures import SamplePictures
from .scorer import Maker, Scorer, Values
from .scores import SampleScores

JUDGE = "judge"
"""What the judge's model is kept under."""


@dataclass(frozen=True)
class Batch:
    """Samples that are scored together, wherever that is: how many a model sees at a time can change the last digit."""

    samples: Sequence[Sample]
    known: Mapping[int, SampleScores]
    """Their earlier scores, by index."""


@dataclass(frozen=True)
class ScoredBatch:
    """How a batch ended."""

    scores: Sequence[SampleScores]
    failed: Mapping[int, str]
    """Why samples have no scores, by index."""
    lacking: Mapping[int, str]
    """Why others have not all scores."""
    makers: Mapping[str, Maker]
    """The models of the process that scored it."""


class BatchScorer:
    """Scores batches of one file's samples.

    Args:
        file: the samples are of this one.
        run: where the results are.
        scorers: what to score with.
        judge: the model whose judgements count; all that are there if empty.
    """

    def __init__(self, file: Path, run: RunFolder, scorers: Sequence[Scorer], judge: str = "") -> None:
        self._folder, self._run, self._scorers, self._judge = file.parent, run, scorers, judge
        self._tasks = TaskTable(file)
        self._makers = {scorer.name: scorer.maker for scorer in scorers}

    def __call__(self, batch: Batch) -> ScoredBatch:
        """Give samples the scores that they lack."""
        prepared: dict[str, list[tuple[int, Any]]] = {scorer.name: [] for scorer in self._scorers}
        found: dict[int, SampleScores] = {}
        failed: dict[int, str] = {}
        lacking: dict[int, str] = {}
        for sample in batch.samples:
            pictures = SamplePictures(sample, self._folder, self._run)
            begun = self._begun(sample, pictures, batch.known.get(sample.index))
            try:
                own, reasons = self._prepared(pictures, begun)
            except PictureError as error:
                failed[sample.index] = f"{error} If it is a result, remove it and run the sample again."
                continue
            if reasons:
                (lacking if own or begun.made_by else failed)[sample.index] = " ".join(reasons)
            if sample.index not in failed:
                found[sample.index] = begun
            for name, item in own:
                prepared[name].append((sample.index, item))
        for scorer in self._scorers:
            scored = scorer.score([item for _, item in prepared[scorer.name]]) if prepared[scorer.name] else []
            for (index, _), values in zip(prepared[scorer.name], scored, strict=True):
                found[index].values.update(values)
                found[index].made_by[scorer.name] = scorer.maker
        return ScoredBatch(list(found.values()), failed, lacking, self._makers)

    def _prepared(self, pictures: SamplePictures, begun: SampleScores) -> tuple[list[tuple[str, Any]], list[str]]:
        """What the scorers need that a sample has no scores of, and why some of them cannot score it.

        Raises:
            PictureError: a picture cannot be read.
        """
        own: list[tuple[str, Any]] = []
        reasons: dict[str, None] = {}
        for scorer in self._scorers:
            if begun.made_by.get(scorer.name) == scorer.maker:
                continue
            try:
                own.append((scorer.name, scorer.prepare(pictures)))
            except EvaluationError as error:
                reasons[str(error)] = None
        return own, list(reasons)

    def _begun(self, sample: Sample, pictures: SamplePictures, old: SampleScores | None) -> SampleScores:
        """A sample's scores that still hold."""
        task, made_of = self._tasks.task(sample), pictures.digest()
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
