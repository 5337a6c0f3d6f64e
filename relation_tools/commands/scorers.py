"""Options for what gives scores, and the models that they name."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..evaluation.metrics import PixelScorer
from ..evaluation.scorer import Scorer
from .extras import require

EXTRA = "evaluation"


def add_scorers(command: argparse.ArgumentParser) -> None:
    """Add the options."""
    command.add_argument("--clip", type=Path, help="a folder with a CLIP model, for CLIP-I and the edit's direction")
    command.add_argument("--dino", type=Path, help="a folder with a DINO, DINOv2 or DINOv3 model, for its similarity")
    command.add_argument(
        "--lpips", metavar="WEIGHTS", help="for LPIPS: torchvision's file of AlexNet or VGG-16, or alex, vgg or squeeze"
    )
    command.add_argument(
        "--preservation", action="store_true", help="what becomes of the source outside of the true edit"
    )


def has_models(options: argparse.Namespace) -> bool:
    """Tell whether a graphics card is of use."""
    return bool(options.clip or options.dino or options.lpips)


def open_scorers(options: argparse.Namespace) -> list[Scorer]:
    """Load what the options ask for.

    Raises:
        RelationAdapterError: a model or a library is not there, or damaged.
    """
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
