"""How an edit is sampled, without any library."""

from __future__ import annotations

from dataclasses import dataclass

from relation_core.errors import RelationAdapterError


@dataclass(frozen=True)
class EditSettings:
    """How an edit is sampled. The defaults are the authors'."""

    steps: int = 24
    guidance: float = 3.5
    strength: float = 1.0
    double_strength: float = 1.0
    """Times ``strength``, in the double-stream blocks."""
    single_strength: float = 1.0
    start: float = 0.0
    """Share of sampling at which the relation begins to act, as ComfyUI counts it."""
    end: float = 1.0
    seed: int = 1000
    long_side: int = 512
    """Pixels of the result's longer side; 0 keeps the source's size."""
    source_scale: float = 1.0
    """Below 1 the model sees the source smaller."""
    refresh_every: int = 1
    """Steps from one computation of the source to the next; in between it is reused."""

    def __post_init__(self) -> None:
        """Refuse what has no meaning.

        Raises:
            RelationAdapterError: a setting is out of its range.
        """
        for name, sound, expected in (
            ("steps", self.steps >= 1, "at least 1"),
            ("start", 0.0 <= self.start <= 1.0, "0 to 1"),
            ("end", 0.0 <= self.end <= 1.0, "0 to 1"),
            ("seed", 0 <= self.seed < 2**64, "0 to 18446744073709551615"),
            ("long_side", self.long_side >= 0, "pixels, or 0 for the picture's own size"),
            ("refresh_every", self.refresh_every >= 1, "at least 1, which computes the source at every step"),
            ("source_scale", 0.0 < self.source_scale <= 1.0, "above 0 and at most 1"),
        ):
            if not sound:
                raise RelationAdapterError(f"Got {name} = {getattr(self, name)}; expected {expected}. Change it.")
