"""What gives samples some of their scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from .sample_pictures import SamplePictures

Values = dict[str, float | None]
"""Scores by metric; None if a sample has no such score, such as the PSNR of equal pictures."""


@dataclass(frozen=True)
class Maker:
    """The model that gave a score."""

    model: str
    """Its name, to be shown."""
    fingerprint: str
    """Names its weights and settings: another fingerprint means other scores."""


class Scorer(Protocol):
    """Scores samples in batches. A sample's scores do not depend on the batch that it is in."""

    @property
    def name(self) -> str:
        """What its maker is kept under."""
        ...

    @property
    def maker(self) -> Maker:
        """Its model."""
        ...

    def prepare(self, pictures: SamplePictures) -> Any:
        """Take from a sample's pictures what :meth:`score` needs.

        Raises:
            PictureError: a picture cannot be read.
            EvaluationError: a picture cannot be scored.
        """
        ...

    def score(self, prepared: Sequence[Any]) -> list[Values]:
        """Score what was prepared of several samples."""
        ...
