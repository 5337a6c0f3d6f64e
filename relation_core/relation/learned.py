"""The origin of a learned relation, as its file records it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

from ..files.json_file import parse_json

_MAX_TEXT = 2000
"""Characters of a prompt or of a model's name."""

_MAX_ORIGINS = 256
"""The most learnings that one relation records."""


@dataclass(frozen=True)
class Learned:
    """One learning of a relation."""

    pairs: int
    """Pairs that it was learned from."""
    steps: int
    """Steps that produced these tokens."""
    prompt: str
    model: str
    """Name of the base model, such as its file's."""

    def __str__(self) -> str:
        """Describe it in a sentence."""
        prompt = f"the prompt '{self.prompt}'" if self.prompt else "no prompt"
        pairs = "1 pair" if self.pairs == 1 else f"{self.pairs} pairs"
        return f"learned from {pairs} in {self.steps} steps with {self.model}, {prompt}"


def learned_to_text(learned: tuple[Learned, ...]) -> str:
    """Write origins as file metadata; long texts are cut."""
    short = [replace(origin, prompt=origin.prompt[:_MAX_TEXT], model=origin.model[:_MAX_TEXT]) for origin in learned]
    return json.dumps([asdict(origin) for origin in short])


def learned_from_text(text: str) -> tuple[Learned, ...]:
    """Read what :func:`learned_to_text` wrote.

    Raises:
        ValueError: it is something else, which the message names.
    """
    try:
        found: Any = parse_json(text)
    except ValueError as error:
        raise ValueError("its record of how it was learned is not JSON") from error
    origins = cast("list[Any]", found) if isinstance(found, list) else None
    if origins is None or len(origins) > _MAX_ORIGINS:
        raise ValueError(f"its record of how it was learned is not a list of at most {_MAX_ORIGINS}")
    return tuple(_origin(value) for value in origins)


def _origin(value: Any) -> Learned:
    fields = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    counts, texts = ([fields.get(name) for name in names] for names in (("pairs", "steps"), ("prompt", "model")))
    sound = (
        len(fields) == 4
        and all(type(count) is int and 0 <= count < 2**31 for count in counts)
        and all(isinstance(text, str) and len(text) <= _MAX_TEXT for text in texts)
    )
    if not sound:
        raise ValueError("its record of how it was learned lacks pairs, steps, prompt or model")
    return Learned(*counts, *texts)  # pyright: ignore[reportArgumentType] - checked above
