"""``python -m relation_tools evaluate score``."""

from __future__ import annotations

import argparse
import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from relation_core.samples.samples import Sample, read_samples
from relation_core.weights.lock import alone_in

from ..evaluation.judge import ADDRESS, KEY, MODEL, Endpoint
from ..evaluation.judging import judge_samples
from ..evaluation.metrics import PixelScorer
from ..evaluation.run_folder import RunFolder
from ..evaluation.scorer import Scorer
from ..evaluation.scoring import ScoringOptions, finished_samples, score_samples
from .bar import progress_bar
from .extras import require
from .number_option import add_numbers

EXTRA = "evaluation"
_LOG = logging.getLogger(__name__)


def add_score(command: argparse.ArgumentParser) -> None:
    """Describe the command."""
    command.add_argument("--clip", type=Path, help="a folder with a CLIP model, for CLIP-I and the edit's direction")
    command.add_argument("--dino", type=Path, help="a folder with a DINO, DINOv2 or DINOv3 model, for its similarity")
    command.add_argument(
        "--lpips", metavar="WEIGHTS", help="for LPIPS: torchvision's file of AlexNet or VGG-16, or alex, vgg or squeeze"
    )
    command.add_argument(
        "--preservation", action="store_true", help="what becomes of the source outside of the true edit"
    )
    add_numbers(command, ScoringOptions(), {"batch_size": "samples that a model sees at a time"})
    command.add_argument(
        "--judge", action="store_true", help=f"ask the judge given by {ADDRESS}, {MODEL} and {KEY} in the environment"
    )
    command.set_defaults(run=_score)


def _score(options: argparse.Namespace) -> int:
    require(EXTRA, "skimage")
    run = RunFolder(options.folder)
    run.check_samples(options.file)
    with alone_in(run.folder, "evaluating in"):
        return _score_alone(options, run)


def _score_alone(options: argparse.Namespace, run: RunFolder) -> int:
    samples = finished_samples(read_samples(options.file), run)
    failed: dict[int, str] = {}
    judge = _judge(options, run, samples, failed) if options.judge else ""
    unscored: dict[int, str] = {}
    scorers, settings = _scorers(options), ScoringOptions(options.batch_size)
    with progress_bar("scored", EXTRA) as progress:
        scored = score_samples(samples, options.file, run, scorers, progress, unscored, judge, settings)
    _LOG.info("%d of %d samples scored: %s", len(scored), len(samples), run.scores)
    for index, reason in unscored.items():
        _LOG.error("Sample %d has no scores: %s", index, reason)
    for index, reason in failed.items():
        _LOG.info("Sample %d has no judgement: %s", index, reason)
    return 1 if failed or unscored else 0


def _judge(options: argparse.Namespace, run: RunFolder, samples: Sequence[Sample], failed: dict[int, str]) -> str:
    """Have samples judged, and name the judge's model; those that fail are added to ``failed``."""
    require(EXTRA, "aiohttp")
    endpoint = Endpoint.from_environment()
    with progress_bar("judged", EXTRA) as progress:
        failed.update(asyncio.run(judge_samples(samples, options.file.parent, run, endpoint, progress)))
    return endpoint.model


def _scorers(options: argparse.Namespace) -> list[Scorer]:
    """Load what the options ask for."""
    found: list[Scorer] = [PixelScorer()]
    if options.clip:
        require(EXTRA, "torch", "transformers")
        from ..evaluation.clip_scorer import ClipScorer  # noqa: PLC0415 - loads torch

        found.append(ClipScorer(options.clip))
    if options.dino:
        require(EXTRA, "torch", "transformers")
        from ..evaluation.dino_scorer import DinoScorer  # noqa: PLC0415 - loads torch

        found.append(DinoScorer(options.dino))
    return [*found, *_comparing_scorers(options)]


def _comparing_scorers(options: argparse.Namespace) -> list[Scorer]:
    found: list[Scorer] = []
    network = None
    if options.lpips:
        require(EXTRA, "torch", "torchvision", "lpips")
        from ..evaluation.perceptual import Perceptual, PerceptualScorer  # noqa: PLC0415 - loads torch

        network = Perceptual(options.lpips)
        found.append(PerceptualScorer(network))
    if options.preservation:
        require(EXTRA, "torch")
        from ..evaluation import preservation  # noqa: PLC0415 - loads torch

        found.append(preservation.PreservationScorer())
        found += [preservation.PerceptualPreservationScorer(network)] if network is not None else []
    return found
