"""Where weights lie in ComfyUI's folders."""

from __future__ import annotations

from pathlib import Path

import folder_paths

from ..relation_core.checkpoint import SAFETENSORS_SUFFIXES, SUFFIXES
from ..relation_core.errors import CheckpointError

ADAPTERS = "relation_adapter"
VISION = "clip_vision"
RELATIONS = "relations"


def register_folders() -> None:
    """Add ``models/relation_adapter`` and ``models/relations`` beside whatever folders are set for them.

    Only weights files are listed.
    """
    models = Path(folder_paths.models_dir)
    folder_paths.add_model_folder_path(ADAPTERS, str(models / ADAPTERS))
    folder_paths.folder_names_and_paths[ADAPTERS][1].update(SUFFIXES)
    folder_paths.add_model_folder_path(RELATIONS, str(models / RELATIONS))
    folder_paths.add_model_folder_path(RELATIONS, str(saved_relations_folder()))
    folder_paths.folder_names_and_paths[RELATIONS][1].update(SAFETENSORS_SUFFIXES)


def saved_relations_folder() -> Path:
    """Where relations are saved."""
    return Path(folder_paths.get_output_directory()) / RELATIONS


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


def find_relation(name: str) -> Path:
    """Find a saved relation.

    Raises:
        CheckpointError: it is not there; the message names the folders.
    """
    path = folder_paths.get_full_path(RELATIONS, name) if name else None
    if path is None:
        searched = " or ".join(folder_paths.get_folder_paths(RELATIONS))
        raise CheckpointError(
            f"There is no relation '{name}' in {searched}. Save one with Save Relation, or put a shared one there and "
            "press R to refresh."
        )
    return Path(path)


def file_state(path: Path) -> tuple[str, int, int]:
    """What changes when a file is replaced, for ComfyUI's cache."""
    state = path.stat()
    return str(path), state.st_mtime_ns, state.st_size
