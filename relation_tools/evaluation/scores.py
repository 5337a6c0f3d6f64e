"""The scores of every sample of an evaluation, and their file."""

from __future__ import annotations

import logging
import math
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relation_core.errors import PictureError, printable
from relation_core.files.json_file import json_text, parse_json, read_text
from relation_core.pictures.picture_file import read_picture
from relation_core.progress import Progress
from relation_core.samples.samples import Sample, Task, TaskTable
from relation_core.weights.atomic import write_whole

from .errors import EvaluationError
from .judge import Judgement
from .judging import read_judgement
from .metrics import PixelScores, pixel_scores
from .run_folder import RunFolder

if TYPE_CHECKING:
    from .clip_similarity import ClipSimilarity

_LOG = logging.getLogger(__name__)
_BYTES = 1 << 28
"""The largest file of scores that is read."""
METRICS = ("mse", "clip_i", "consistency", "accuracy", "psnr", "ssim")
HIGHER_IS_BETTER = {name: name != "mse" for name in METRICS}


@dataclass(frozen=True)
class SampleScores:
    """One sample's scores; None if a score was not computed."""

    index: int
    task: str
    category: str
    mse: float
    psnr: float | None
    """None if result and target are equal, which makes it infinite."""
    ssim: float
    clip_i: float | None = None
    consistency: float | None = None
    accuracy: float | None = None

    def value(self, metric: str) -> float | None:
        """Return one of :data:`METRICS`."""
        return getattr(self, metric)


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
    clip: ClipSimilarity | None,
    progress: Progress,
    failed: dict[int, str],
    judge: str = "",
) -> list[SampleScores]:
    """Score results against their targets, and write ``scores.jsonl``.

    Args:
        samples: those that have a result.
        file: they are of this one.
        run: where the results are.
        clip: gives CLIP-I; None leaves it out.
        progress: told of every sample.
        failed: samples with a picture that cannot be read are added to it, with the reason; they have no scores.
        judge: the model whose judgements count; all that are there if empty.
    """
    tasks, judges = TaskTable(file), Counter[str]()
    scores: list[SampleScores] = []
    progress.start(len(samples))
    for sample in samples:
        progress.step()
        try:
            result, target = read_picture(run.result(sample.index)), read_picture(file.parent / sample.target)
        except PictureError as error:
            failed[sample.index] = f"{error} If it is a result, remove it and run the sample again."
            continue
        judgement = read_judgement(run, sample, file.parent, judge)
        judges.update([] if judgement is None else [judgement.model])
        similarity = None if clip is None else clip.similarity(result, target)
        scores.append(_scores_of(sample.index, tasks.task(sample), pixel_scores(result, target), similarity, judgement))
    if len(judges) > 1:
        _LOG.warning(
            "The judgements are by different models (%s), whose scores cannot be compared. Add --judge to have all of "
            "them by one.",
            ", ".join(f"{printable(model)}: {count}" for model, count in sorted(judges.items())),
        )
    lines = "".join(json_text(asdict(one)) + "\n" for one in scores)
    write_whole(run.scores, lines.encode())
    return scores


def _scores_of(
    index: int, task: Task, pixels: PixelScores, similarity: float | None, judgement: Judgement | None
) -> SampleScores:
    return SampleScores(
        index=index,
        task=task.name,
        category=task.category,
        mse=pixels.mse,
        psnr=pixels.psnr if math.isfinite(pixels.psnr) else None,
        ssim=pixels.ssim,
        clip_i=similarity,
        consistency=None if judgement is None else judgement.consistency,
        accuracy=None if judgement is None else judgement.accuracy,
    )


def read_scores(run: RunFolder) -> list[SampleScores]:
    """Read ``scores.jsonl``.

    Raises:
        EvaluationError: it is not there.
    """
    if not run.scores.exists():
        raise EvaluationError(f"'{run.folder}' has no scores yet. Run `evaluate score` first.")
    try:
        lines = read_text(run.scores, _BYTES).split("\n")  # no other character ends a line in this file
        return [_scores(parse_json(line)) for line in lines if line]
    except (OSError, ValueError, TypeError) as error:
        raise EvaluationError(f"'{run.scores}' is damaged ({error}). Run `evaluate score` to rebuild it.") from error


def _scores(fields: dict[str, Any]) -> SampleScores:
    found = SampleScores(**fields)
    values = [found.value(metric) for metric in METRICS]
    texts = type(found.task) is str and type(found.category) is str and type(found.index) is int
    if not texts or not all(_is_finite(value) for value in values if value is not None):
        raise ValueError("a line holds no scores")
    return found


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
