"""Settings of an edit, without any library."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal, get_args

from relation_core.flux.solvers import solver_called
from relation_core.settings.bounds import (
    GUIDANCE,
    LONG_SIDE,
    MASK_PIXELS,
    REFRESH_INTERVAL,
    SAMPLING_STEPS,
    SEED,
    SHARE,
    SOURCE_SCALE,
    STRENGTH,
    check_settings,
)

Quantization = Literal["int8", "fp8", "nf4"]
"""What the matrices of a frozen transformer can be quantised to."""
QUANTIZATIONS: tuple[Quantization, ...] = get_args(Quantization)


@dataclass(frozen=True)
class EditSettings:
    """Sampling settings of an edit. The defaults are the authors'."""

    steps: Annotated[int, SAMPLING_STEPS] = 24
    guidance: Annotated[float, GUIDANCE] = 3.5
    strength: Annotated[float, STRENGTH] = 1.0
    double_strength: Annotated[float, STRENGTH] = 1.0
    """Times ``strength``, in the double-stream blocks."""
    single_strength: Annotated[float, STRENGTH] = 1.0
    start: Annotated[float, SHARE] = 0.0
    """Share of sampling at which the relation begins to act, as ComfyUI counts it."""
    end: Annotated[float, SHARE] = 1.0
    seed: Annotated[int, SEED] = 1000
    long_side: Annotated[int, LONG_SIDE] = 512
    """Pixels of the result's longer side; 0 keeps the source's size."""
    source_scale: Annotated[float, SOURCE_SCALE] = 1.0
    """Below 1 the model sees the source smaller."""
    refresh_every: Annotated[int, REFRESH_INTERVAL] = 1
    """Steps for each computation of the source; in between it is reused."""
    solver: str = "euler"
    """One of :data:`relation_core.flux.solvers.SOLVERS`."""
    reuse_8bit: bool = field(default=False, repr=False)  # identities of edits know the others by their repr
    """Keep what is reused of the source in 8 bits."""

    def __post_init__(self) -> None:
        """Refuse settings out of range.

        Raises:
            RelationAdapterError: a setting is out of its bounds.
        """
        check_settings(self)
        solver_called(self.solver)


FAST: dict[str, int | str] = {"steps": 10, "solver": "dpmpp_2m", "refresh_every": 2}
"""The fast recipe: the fewest calls within 1.5 times the distance of the authors' steps to the converged edit
(docs/performance.md)."""


@dataclass(frozen=True)
class KeepSettings:
    """How the source's own pixels are given back where nothing was edited."""

    keep_threshold: Annotated[float, SHARE] = 0.0
    """Difference, on a scale of 0 to 1, above which flat parts count as edited; 0 derives it from each picture."""
    keep_grow: Annotated[int, MASK_PIXELS] = 0
    """Pixels by which the edited part is widened."""
    keep_feather: Annotated[int, MASK_PIXELS] = 0
    """Pixels over which it fades out."""

    def __post_init__(self) -> None:
        """Refuse what has no meaning.

        Raises:
            RelationAdapterError: a setting is out of its range.
        """
        check_settings(self)
