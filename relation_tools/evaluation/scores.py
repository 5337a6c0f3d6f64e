"""The scores of every sample of an evaluation, and their file."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relation_core.errors import PictureError
from relation_core.pictures.picture_file import read_picture
from relation_core.progress import Progress
from relation_core.samples.samples import Sample, TaskTable
from relation_core.weights.atomic import write_whole

from .errors import EvaluationError
from .judging import read_judgement
from .metrics import pixel_scores
from .run_folder import RunFolder

if TYPE_CHECKING:
    from .clip_similarity import ClipSimilarity

METRICS = ("mse", "clip_i", "consistency", "accuracy", "psnr", "ssim")
HIGHER_IS_BETTER = {name: name != "mse" for name in METRICS}


@dataclass(frozen=True)
class SampleScores:
    """One sample's scores; None where a score was not made."""

    index: int
    task: str
    category: str
    mse: float
    psnr: float | None
    """None where result and target are equal: it is infinite."""
    ssim: float
    clip_i: float | None = None
    consistency: float | None = None
    accuracy: float | None = None

    def value(self, metric: str) -> float | None:
        """Give one of :data:`METRICS`."""
        return getattr(self, metric)


def finished_samples(samples: Iterable[Sample], run: RunFolder) -> list[Sample]:
    """Keep the samples that have a result.

    Raises:
        EvaluationError: none has.
    """
    found = [sample for sample in samples if run.result(sample.index).exists()]
    if not found:
        raise EvaluationError(f"'{run.folder}' holds no results. `evaluate run` makes some.")
    return found


def score_samples(
    samples: Sequence[Sample], file: Path, run: RunFolder, clip: ClipSimilarity | None, progress: Progress
) -> list[SampleScores]:
    """Score results against their targets, and write ``scores.jsonl``.

    Raises:
        EvaluationError: a picture cannot be read.
    """
    tasks = TaskTable(file)
    scores: list[SampleScores] = []
    progress.start(len(samples))
    for sample in samples:
        result, target = _picture(run.result(sample.index)), _picture(file.parent / sample.target)
        pixels = pixel_scores(result, target)
        judgement = read_judgement(run, sample.index)
        task = tasks.task(sample)
        scores.append(
            SampleScores(
                index=sample.index,
                task=task.name,
                category=task.category,
                mse=pixels.mse,
                psnr=pixels.psnr if math.isfinite(pixels.psnr) else None,
                ssim=pixels.ssim,
                clip_i=None if clip is None else clip.similarity(result, target),
                consistency=None if judgement is None else judgement.consistency,
                accuracy=None if judgement is None else judgement.accuracy,
            )
        )
        progress.step()
    lines = "".join(json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in scores)
    write_whole(run.scores, lines.encode())
    return scores


def read_scores(run: RunFolder) -> list[SampleScores]:
    """Read ``scores.jsonl``.

    Raises:
        EvaluationError: it is not there.
    """
    if not run.scores.exists():
        raise EvaluationError(f"'{run.folder}' has no scores yet. `evaluate score` makes them.")
    try:
        lines: list[dict[str, Any]] = [json.loads(line) for line in run.scores.read_text(encoding="utf-8").splitlines()]
        return [SampleScores(**line) for line in lines]
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise EvaluationError(f"'{run.scores}' is damaged ({error}). `evaluate score` makes it anew.") from error


def _picture(path: Path) -> Any:
    try:
        return read_picture(path)
    except PictureError as error:
        raise EvaluationError(f"{error} If it is a result, run the sample again.") from error
