"""Where weights lie in ComfyUI's folders."""

from __future__ import annotations

from pathlib import Path

import folder_paths

from ..relation_core.checkpoint import SUFFIXES
from ..relation_core.errors import CheckpointError

ADAPTERS = "relation_adapter"
VISION = "clip_vision"


def register_folders() -> None:
    """Add ``models/relation_adapter`` beside whatever folders are set for it; only weights files are listed."""
    folder_paths.add_model_folder_path(ADAPTERS, str(Path(folder_paths.models_dir) / ADAPTERS))
    folder_paths.folder_names_and_paths[ADAPTERS][1].update(SUFFIXES)


def find_file(folder: str, name: str, address: str) -> Path:
    """Find a file in one of ComfyUI's model folders.

    Raises:
        CheckpointError: it is not there; the message names the folders and where to get it.
    """
    path = folder_paths.get_full_path(folder, name) if name else None
    if path is None:
        searched = " or ".join(folder_paths.get_folder_paths(folder))
        raise CheckpointError(
            f"There is no file '{name}' in {searched}. Download it from {address}, put it there and press R to refresh."
        )
    return Path(path)


def file_state(path: Path) -> tuple[str, int, int]:
    """What changes when a file is replaced, for ComfyUI's cache."""
    state = path.stat()
    return str(path), state.st_mtime_ns, state.st_size
