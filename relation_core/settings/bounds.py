"""Bounds of the numbers that users choose, each declared once: at the field of its settings.

Comparisons with NaN are false, and every bound is finite, so that NaN and infinity are out of all bounds.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, cast, get_type_hints

from ..errors import RelationAdapterError

MAX_FLOAT = sys.float_info.max
_SHOWN = 60
"""Letters of a wrong value that a message shows."""


@dataclass(frozen=True)
class Bounds:
    """What a number must be."""

    low: float
    high: float = MAX_FLOAT
    whole: bool = False
    """Whether it must be an integer by type."""
    above: bool = False
    """Whether ``low`` itself is too low."""

    def hold(self, value: object) -> bool:
        """Whether a value is a number of this kind in this range."""
        if isinstance(value, bool) or not isinstance(value, Integral if self.whole else Real):
            return False
        number = cast("float", value)
        return self.low <= number <= self.high and not (self.above and number == self.low)

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        low, high = (str(side) if self.whole else f"{side:g}" for side in (self.low, self.high))
        if self.high >= MAX_FLOAT:
            return f"{kind} {'above' if self.above else 'of at least'} {low}"
        return f"{kind} above {low} and at most {high}" if self.above else f"{kind} from {low} to {high}"


SEED = Bounds(0, 2**64 - 1, whole=True)
COUNT = Bounds(1, 10**9, whole=True)
COUNT_OR_NONE = Bounds(0, 10**9, whole=True)
SAMPLING_STEPS = Bounds(1, 10_000, whole=True)
LONG_SIDE = Bounds(0, 16_384, whole=True)
"""Pixels; 0 keeps a picture's size."""
STRENGTH = Bounds(-10.0, 10.0)
"""Of a relation. Beyond it float16 overflows, and pictures turn black."""
LORA_STRENGTH = Bounds(-100.0, 100.0)
"""ComfyUI's own."""
GUIDANCE = Bounds(0.0, 100.0)
"""ComfyUI's own."""
SHARE = Bounds(0.0, 1.0)
SOURCE_SCALE = Bounds(0.1, 1.0)
REFRESH_INTERVAL = Bounds(1, 1000, whole=True)
"""Steps from one computation of the source to the next."""
MASK_PIXELS = Bounds(0, 256, whole=True)
"""By which a mask is widened, or over which it fades out."""
WEIGHT = Bounds(0.0)
"""Of an exemplar pair: only its ratio to the others counts."""
LEARNING_RATE = Bounds(0.0, 1e6, above=True)
"""A rate near its end diverges and is found out; beyond what float32 holds, not even that."""
SECONDS = Bounds(0.0, 1e9)


def bounds_of(settings: type[Any]) -> dict[str, Bounds]:
    """Find the bounds in a dataclass's annotations, such as ``steps: Annotated[int, COUNT]``, by field."""
    hints = get_type_hints(settings, include_extras=True)
    found = {name: getattr(hint, "__metadata__", ()) for name, hint in hints.items()}
    return {name: extra for name, extras in found.items() for extra in extras if isinstance(extra, Bounds)}


def check_settings(settings: object, error: type[RelationAdapterError] = RelationAdapterError) -> None:
    """Refuse settings of which a number is out of its bounds; for a dataclass's ``__post_init__``.

    Args:
        settings: an instance of a dataclass with bounds in its annotations.
        error: what to raise.

    Raises:
        RelationAdapterError: of the kind ``error``.
    """
    for name, bounds in bounds_of(type(settings)).items():
        check_number(name, getattr(settings, name), bounds, error)


def check_number(
    name: str,
    value: object,
    bounds: Bounds,
    error: type[RelationAdapterError] = RelationAdapterError,
    remedy: str = "Change it.",
) -> None:
    """Refuse a value that is no number, or out of its bounds.

    Args:
        name: what the user calls it.
        value: what was given.
        bounds: what is expected.
        error: what to raise.
        remedy: what to do about it, in a whole sentence.

    Raises:
        RelationAdapterError: of the kind ``error``.
    """
    if not bounds.hold(value):
        raise error(f"Got {name} = {shortened_value(value)}; expected {bounds}. {remedy}")


def shortened_value(value: object) -> str:
    """Show a value, such as ``nan`` or ``'three'``, in a few letters."""
    try:
        text = str(value) if isinstance(value, Real) else repr(value)
    except ValueError:  # Python's limit for the digits of an integer
        text = "a number of thousands of digits"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
