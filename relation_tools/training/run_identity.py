"""The identity of a training state: the settings and data of its steps."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast

from relation_core.errors import CheckpointError

from ..fingerprints import weights_fingerprint

MADE_WITH = "made_with"
_FREE = (
    "output",
    "device",
    "records",
    "data.cache",
    "data.test",
    "models.offload",
    "training.steps",
    "training.compile",
    "training.gradient_checkpointing",
)
"""Settings that may change when a run resumes: its length, its output, and how it computes the same."""
_SINCE: dict[str, object] = {"models.quantize": None, "training.optimizer": "adamw", "training.weights": "float32"}
"""Settings that older states do not name, and their values there: they are named where they have others."""
_TRAINED_ON = ("index", "cond1", "cond2", "source", "target", "text")
"""Attributes of a sample."""
_LOG = logging.getLogger(__name__)


def run_identity(settings: Any, contents: Mapping[str, str]) -> dict[str, str]:
    """Write settings as text by dotted names; files are represented by their contents.

    Args:
        settings: a run's, as nested objects with fields.
        contents: fingerprints to add, by name.
    """
    return {**dict(_settings(settings, "")), **contents}


def samples_fingerprint(samples: list[Any], pictures: str) -> str:
    """Fingerprint samples: their grouping of pictures, their texts, and the pictures themselves.

    What else a sample may have, such as captions, is not trained on. Samples are written as in the first states.
    """
    told = (", ".join(f"{name}={getattr(sample, name)!r}" for name in _TRAINED_ON) for sample in samples)
    listed = ", ".join(f"Sample({fields})" for fields in told)
    return blake2b(f"{pictures} [{listed}]".encode(errors="surrogatepass"), digest_size=8).hexdigest()


def check_identity(state: Mapping[str, Any], now: Mapping[str, str], folder: Path) -> None:
    """Refuse to resume from a state of other settings.

    Raises:
        CheckpointError: something differs; the message names it.
    """
    before: Any = state.get(MADE_WITH)
    if before is not None and not isinstance(before, dict):
        raise CheckpointError(
            f"The newest state in {folder} is damaged: it does not say what it was made with. Expected the state of "
            "this run: remove it to go on from the one before, or start over."
        )
    if before is None:
        _LOG.warning(
            "The states in %s do not name the settings that they were made with; they are not checked.", folder
        )
        return
    before = cast("dict[str, str]", before)
    names = sorted({*map(str, before), *now})
    differing = [name for name in names if before.get(name) != now.get(name)]
    if differing:
        changes = ", ".join(
            f"{name} was {before.get(name, 'unknown')}, is {now.get(name, 'gone')}" for name in differing
        )
        raise CheckpointError(
            f"The states in {folder} belong to a run with other settings ({changes}). Expected the same to go on from: "
            "change the settings back, name another output, or remove the states to start over."
        )


def _settings(value: Any, name: str) -> Iterator[tuple[str, str]]:
    if name in _FREE or (name in _SINCE and value == _SINCE[name]):
        return
    if isinstance(value, Path):
        if not name.startswith("data."):  # its samples are named by their contents
            yield name, weights_fingerprint(value)
    elif hasattr(value, "__dict__"):
        for key, inner in cast("dict[str, object]", vars(value)).items():
            yield from _settings(inner, f"{name}.{key}" if name else key)
    else:
        yield name, str(value)
