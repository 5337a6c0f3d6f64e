"""Scores that need no model: MSE (paper, section 4.4), PSNR and SSIM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from .errors import EvaluationError

_SSIM_WINDOW = 7


@dataclass(frozen=True)
class PixelScores:
    """How far a result is from its target, on RGB in [0, 1]."""

    mse: float
    """Mean over pixels and channels of the squared difference."""
    psnr: float
    """10 log10(1 / MSE) in dB; infinite where result and target are equal."""
    ssim: float
    """Structural similarity (Wang et al. 2004) with scikit-image's 7x7 uniform window, mean over the channels."""


def pixel_scores(result: Image.Image, target: Image.Image) -> PixelScores:
    """Compare two RGB pictures; if their sizes differ, the target is resized (bicubic) to the result's.

    Raises:
        EvaluationError: the result is smaller than SSIM's window.
    """
    import skimage.metrics  # noqa: PLC0415 - optional

    metrics: Any = skimage.metrics

    if min(result.size) < _SSIM_WINDOW:
        raise EvaluationError(
            f"A result of {result.width}x{result.height} pixels cannot be scored; expected at least "
            f"{_SSIM_WINDOW}x{_SSIM_WINDOW}."
        )
    if target.size != result.size:
        target = target.resize(result.size, Image.Resampling.BICUBIC)
    found, expected = (np.asarray(picture, dtype=np.float64) / 255.0 for picture in (result, target))
    mse = float(np.mean((found - expected) ** 2))
    psnr = float("inf") if mse == 0 else float(metrics.peak_signal_noise_ratio(expected, found, data_range=1.0))
    ssim = metrics.structural_similarity(expected, found, win_size=_SSIM_WINDOW, data_range=1.0, channel_axis=2)
    return PixelScores(mse, psnr, float(ssim))
