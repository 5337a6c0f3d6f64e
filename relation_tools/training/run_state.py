"""The state of a run on disk: atomic files, of which the newest is used."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import torch

from relation_core.errors import CheckpointError, RelationAdapterError
from relation_core.weights.atomic import appearing
from relation_core.weights.opened_file import OpenedFile
from relation_core.weights.pickled_file import zip_claims

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
            _write_state({"step": step, **state}, unfinished)
        for old in saved_states(folder)[:-keep]:
            old.unlink(missing_ok=True)
    except OSError as error:
        with suppress(OSError):  # it is not there, or not empty
            folder.rmdir()
        raise CheckpointError(
            f"The state of step {step} could not be written to {folder} ({error.strerror or error}). Expected room for "
            "it: make room, and start the same command again; it goes on from the last state, if there is one."
        ) from error
    return target


def _write_state(state: dict[str, Any], path: Path) -> None:
    with path.open("wb") as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:  # torch's own words for what the file said
            if isinstance(error.__context__, OSError):
                raise error.__context__ from error
            raise


def saved_states(folder: Path) -> list[Path]:
    """The states in a folder, oldest first."""
    found = [path for path in folder.glob("state-*.pt") if _NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: int(path.stem.removeprefix("state-")))


def load_state(folder: Path, keys: Collection[str] = (), mapped: bool = False) -> dict[str, Any] | None:
    """Read the newest state that is whole; None if there is none at all. Damaged ones are named.

    Args:
        folder: of the states.
        keys: what a state holds, beside its step.
        mapped: read tensors from the file as they are used, which is not to be removed before.

    Raises:
        CheckpointError: none of those that are there can be read.
    """
    problem: CheckpointError | None = None
    for path in reversed(saved_states(folder)):
        try:
            return _read_state(path, keys, mapped)
        except CheckpointError as error:  # noqa: PERF203 - there are as many as the run keeps
            problem = problem or error
            _LOG.warning("%s The state before it is taken, if there is one.", error)
    if problem is not None:
        raise problem
    return None


@contextmanager
def going_on(folder: Path) -> Generator[None]:
    """Name the folder of a state whose contents do not fit what goes on from it.

    Raises:
        CheckpointError: in the block, a part of the state is of another form.
    """
    try:
        yield
    except RelationAdapterError:
        raise
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"The newest state in {folder} is damaged ({type(error).__name__}: {str(error)[:200]}). Expected the state "
            "of this run: remove it to go on from the one before, or start over."
        ) from error


def check_weights(targets: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor]) -> None:
    """Compare tensors with those in a state.

    Raises:
        ValueError: there are others than were saved, or they have other shapes.
    """
    shapes = ({name: tuple(tensor.shape) for name, tensor in part.items()} for part in (targets, found))
    expected, saved = shapes
    differing = sorted(name for name in {*expected, *saved} if expected.get(name) != saved.get(name))
    if differing:
        name = differing[0]
        raise ValueError(f"'{name}' is {saved.get(name, 'missing')}, expected {expected.get(name, 'none')}")


def copy_weights(targets: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor]) -> None:
    """Give tensors the values in a state.

    Raises:
        ValueError: there are others than were saved, or they have other shapes; nothing is copied.
    """
    check_weights(targets, found)
    with torch.no_grad():
        for name, target in targets.items():
            target.copy_(found[name])


def _read_state(path: Path, keys: Collection[str], mapped: bool) -> dict[str, Any]:
    try:
        zip_claims(OpenedFile(path))  # before anything is allocated
        state: object = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # unpickling damaged bytes can raise almost anything
        raise _unusable(path, str(error)[:200]) from error
    if not isinstance(state, dict):
        raise _unusable(path, "it holds no step")
    found = cast("dict[str, Any]", state)
    missing = [key for key in ("step", *keys) if key not in found]
    if missing:
        raise _unusable(path, f"it lacks {', '.join(missing)}")
    step = found["step"]
    if type(step) is not int or step != int(path.stem.removeprefix("state-")):
        raise _unusable(path, f"its step is {str(step)[:20]!r}")
    return found


def _unusable(path: Path, problem: str) -> CheckpointError:
    return CheckpointError(
        f"{path} cannot be read ({problem}). Expected the state of a training run: remove it to go on from "
        "the one before."
    )
