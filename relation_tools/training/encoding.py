"""Encoding before training: by one process of each disk, while the others wait."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

import accelerate.utils

from relation_core.errors import DatasetError
from relation_core.progress import Progress, Silent

Watched = Callable[[str], AbstractContextManager[Progress]]
"""Shows the progress of work with a name, in a block."""
Opened = TypeVar("Opened")
_ACCELERATE: Any = accelerate.utils  # partly untyped


def unwatched(_: str) -> AbstractContextManager[Progress]:
    """Show nothing."""
    return nullcontext(Silent())


def encoded_once(
    opening: Callable[[Progress], Opened], folder: Path, accelerator: Any, watched: Watched, what: str
) -> Opened:
    """Open a cache in every process; what it lacks is encoded by one process of each disk, before the others open it.

    Args:
        opening: opens it, and is told whom to tell of its progress.
        folder: of the cache; made if need be.
        accelerator: the run's.
        watched: shows the progress of those that encode.
        what: the work's name.

    Raises:
        DatasetError: the folder cannot be made.
    """
    if not _encodes(folder, accelerator):
        accelerator.wait_for_everyone()
        return opening(Silent())
    with watched(what) as progress:
        opened = opening(progress)
    accelerator.wait_for_everyone()
    return opened


def _encodes(folder: Path, accelerator: Any) -> bool:
    """Whether this process is the one of its disk: the first of all, or the first of a machine that sees another."""
    if accelerator.num_processes == 1:
        return True
    (name,) = _ACCELERATE.broadcast_object_list([f".relation-adapter-{secrets.token_hex(8)}"])
    mark = folder / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if accelerator.is_main_process:
            mark.touch()
    except OSError as error:
        raise DatasetError(
            f"The cache '{folder}' could not be made: {error.strerror or error}. Free some disk space, or name "
            "another folder."
        ) from error
    accelerator.wait_for_everyone()
    shared = mark.exists()
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        mark.unlink(missing_ok=True)
    return accelerator.is_main_process or (accelerator.is_local_main_process and not shared)
