"""How well a result keeps what the edit should leave alone: its difference from the source outside of the true edit.

The true edit is where source and target differ, as *Keep Unedited* tells it. A global one leaves nothing alone, and
its samples have no such scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch

from relation_core.keeping.keep import keep_unedited
from relation_core.pictures.tensors import from_pil

from .perceptual import Perceptual, perceived
from .sample_pictures import SamplePictures
from .scorer import Maker, Values

_UNCHANGED = 1.5 / 255
"""Levels of 8 bits that may differ in a pixel that counts as unchanged: one."""


class PreservationScorer:
    """Gives the mean squared difference outside of the edit, and the share of pixels there that did not change."""

    name = "preservation"
    maker = Maker("Keep Unedited", "1")

    def prepare(self, pictures: SamplePictures) -> Values:
        """Compare result and source where the target is the source."""
        outside = _outside(pictures)
        if outside is None:
            return {"kept_mse": None, "kept_share": None}
        change = (from_pil(pictures.result)[0] - from_pil(pictures.fitted_source)[0])[outside]
        kept = change.abs().amax(-1) < _UNCHANGED
        return {"kept_mse": float(change.double().square().mean()), "kept_share": float(kept.double().mean())}

    def score(self, prepared: Sequence[Values]) -> list[Values]:
        """Give the scores."""
        return list(prepared)


class PerceptualPreservationScorer:
    """Gives LPIPS between the source and the result with the source in place of the edit."""

    name = "preservation_lpips"

    def __init__(self, network: Perceptual) -> None:
        self._network = network
        self.maker = network.maker

    def prepare(self, pictures: SamplePictures) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Source and result as LPIPS sees them, alike where the edit is."""
        outside = _outside(pictures)
        if outside is None:
            return None
        source, result = perceived(pictures.fitted_source), perceived(pictures.result)
        return source, torch.where(outside, result, source)

    def score(self, prepared: Sequence[tuple[torch.Tensor, torch.Tensor] | None]) -> list[Values]:
        """Score samples."""
        distances = iter(self._network.distances([pair for pair in prepared if pair is not None]))
        return [{"kept_lpips": None if pair is None else next(distances)} for pair in prepared]


@lru_cache(maxsize=1)  # both scorers ask for it, one after the other
def _outside(pictures: SamplePictures) -> torch.Tensor | None:
    """The pixels (height, width) of the result's size that the true edit leaves alone; None if there are none."""
    kept = keep_unedited(from_pil(pictures.fitted_source), from_pil(pictures.fitted_target))
    outside = kept.mask[0] == 0
    return outside if bool(outside.any()) else None
