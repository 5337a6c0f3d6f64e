"""Scores that need no model: MSE (paper, section 4.4), PSNR and SSIM."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from PIL import Image

from .errors import EvaluationError
from .sample_pictures import SamplePictures
from .scorer import Maker, Values

_SSIM_WINDOW = 7
_MOST_PIXELS = 4096 * 4096


@dataclass(frozen=True)
class PixelScores:
    """How far a result is from its target, on RGB in [0, 1]."""

    mse: float
    """Mean over pixels and channels of the squared difference."""
    psnr: float
    """10 log10(1 / MSE) in dB; infinite where result and target are equal."""
    ssim: float
    """Structural similarity (Wang et al. 2004) with scikit-image's 7x7 uniform window, mean over the channels."""


class PixelScorer:
    """Gives MSE, PSNR and SSIM."""

    name = "pixels"
    maker = Maker("scikit-image", "1")

    def prepare(self, pictures: SamplePictures) -> PixelScores:
        """Compare a result with its target in the result's size.

        Raises:
            PictureError: one cannot be read.
            EvaluationError: the result is too small or too large.
        """
        return pixel_scores(pictures.result, pictures.fitted_target)

    def score(self, prepared: Sequence[PixelScores]) -> list[Values]:
        """Give the scores."""
        return [
            {"mse": one.mse, "psnr": one.psnr if math.isfinite(one.psnr) else None, "ssim": one.ssim}
            for one in prepared
        ]


def pixel_scores(result: Image.Image, target: Image.Image) -> PixelScores:
    """Compare two RGB pictures of one size.

    One channel is compared at a time, since SSIM holds about ten float64 arrays of a picture's size.

    Raises:
        EvaluationError: the result is smaller than SSIM's window, or larger than memory is taken for.
    """
    import skimage.metrics  # noqa: PLC0415 - optional

    metrics: Any = skimage.metrics

    if min(result.size) < _SSIM_WINDOW:
        raise EvaluationError(
            f"A result of {result.width}x{result.height} pixels cannot be scored; expected at least "
            f"{_SSIM_WINDOW}x{_SSIM_WINDOW}."
        )
    if result.width * result.height > _MOST_PIXELS:
        raise EvaluationError(
            f"A result of {result.width}x{result.height} pixels cannot be scored; expected at most "
            f"{_MOST_PIXELS / 1e6:.1f} million pixels."
        )
    errors: list[float] = []
    similarities: list[float] = []
    for found, expected in zip(_channels(result), _channels(target), strict=True):
        errors.append(float(np.mean((found - expected) ** 2)))
        similarities.append(
            float(metrics.structural_similarity(expected, found, win_size=_SSIM_WINDOW, data_range=1.0))
        )
    mse = fmean(errors)
    return PixelScores(mse, -10 * math.log10(mse) if mse else math.inf, fmean(similarities))


def _channels(picture: Image.Image) -> Iterator[np.ndarray[Any, np.dtype[np.float64]]]:
    """The channels of a picture, in [0, 1]."""
    for name in picture.getbands():
        yield np.asarray(picture.getchannel(name), dtype=np.float64) / 255.0
