"""The state of a run on disk: atomic files, of which the newest is used."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any, cast

import torch

from relation_core.errors import CheckpointError
from relation_core.weights.atomic import appearing

_LOG = logging.getLogger(__name__)
_NAME = re.compile(r"state-(\d{8,})\.pt")


def save_state(folder: Path, step: int, state: dict[str, Any], keep: int) -> Path:
    """Write the state after ``step`` steps, and remove all but the newest ``keep`` of the folder.

    The file appears whole or not at all, whenever the process is killed.

    Raises:
        CheckpointError: it cannot be written; what was there stays.
    """
    target = folder / f"state-{step:08d}.pt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with appearing(target) as unfinished:
            torch.save({"step": step, **state}, unfinished)
        for old in saved_states(folder)[:-keep]:
            old.unlink(missing_ok=True)
    except (OSError, RuntimeError) as error:  # torch words a full disk as a RuntimeError
        raise CheckpointError(
            f"The state of step {step} could not be written to {folder} ({error}). Expected room for it: make room, "
            "and start the same command again; it goes on from the last state."
        ) from error
    return target


def saved_states(folder: Path) -> list[Path]:
    """The states in a folder, oldest first."""
    found = [path for path in folder.glob("state-*.pt") if _NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: int(path.stem.removeprefix("state-")))


def load_state(folder: Path) -> dict[str, Any] | None:
    """Read the newest state that is whole; None if there is none at all. Damaged ones are named.

    Raises:
        CheckpointError: none of those that are there can be read.
    """
    problem: CheckpointError | None = None
    for path in reversed(saved_states(folder)):
        try:
            return _read_state(path)
        except CheckpointError as error:  # noqa: PERF203 - there are as many as the run keeps
            problem = problem or error
            _LOG.warning("%s The state before it is taken, if there is one.", error)
    if problem is not None:
        raise problem
    return None


def _read_state(path: Path) -> dict[str, Any]:
    try:
        state: object = torch.load(path, map_location="cpu", weights_only=True)
        problem = "it holds no step"
    except Exception as error:  # unpickling damaged bytes can raise almost anything
        state, problem = None, str(error)[:200]
    if isinstance(state, dict) and "step" in state:
        return cast("dict[str, Any]", state)
    raise CheckpointError(
        f"{path} cannot be read ({problem}). Expected the state of a training run: remove it to go on from "
        "the one before."
    )
