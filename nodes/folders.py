"""The folders of weights in ComfyUI."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import folder_paths

from ..relation_core.adapter.download import ADAPTER_FILE
from ..relation_core.errors import CheckpointError
from ..relation_core.weights.checkpoint import SAFETENSORS_SUFFIXES, SUFFIXES

ADAPTERS = "relation_adapter"
VISION = "clip_vision"
RELATIONS = "relations"


def register_folders() -> None:
    """Add ``models/relation_adapter`` and ``models/relations`` to the folders that are configured for them.

    Only weights files are listed.
    """
    models = Path(folder_paths.models_dir)
    folder_paths.add_model_folder_path(ADAPTERS, str(models / ADAPTERS))
    folder_paths.folder_names_and_paths[ADAPTERS][1].update(SUFFIXES)
    folder_paths.add_model_folder_path(RELATIONS, str(models / RELATIONS))
    folder_paths.add_model_folder_path(RELATIONS, str(saved_relations_folder()))
    folder_paths.folder_names_and_paths[RELATIONS][1].update(SAFETENSORS_SUFFIXES)


def saved_relations_folder() -> Path:
    """The folder in which relations are saved."""
    return Path(folder_paths.get_output_directory()) / RELATIONS


def released_adapter() -> Path:
    """The path of the released adapter, whether it is there or still to be downloaded."""
    found = folder_paths.get_full_path(ADAPTERS, ADAPTER_FILE)
    return Path(found) if found else Path(folder_paths.get_folder_paths(ADAPTERS)[0]) / ADAPTER_FILE


def find_file(folder: str, name: str, remedy: str) -> Path:
    """Find a file in one of ComfyUI's model folders.

    Args:
        folder: ComfyUI's name of the folders.
        name: the file's.
        remedy: what to do if it is missing, in whole sentences.

    Raises:
        CheckpointError: it is not there; the message names the folders.
    """
    path = folder_paths.get_full_path(folder, name) if name else None
    if path is None:
        searched = " or ".join(folder_paths.get_folder_paths(folder))
        raise CheckpointError(f"There is no file '{name}' in {searched}. {remedy}")
    return Path(path)


def find_download(folder: str, name: str, address: str, entry: str | None = None) -> Path:
    """Find a file that can be downloaded.

    Args:
        folder: ComfyUI's name of the folders.
        name: the file's.
        address: where it is published.
        entry: the menu entry that downloads it, if there is one.

    Raises:
        CheckpointError: it is not there; the message says where to get it.
    """
    choice = f" Or choose '{entry}' here, to have it downloaded." if entry else ""
    return find_file(folder, name, f"Download it from {address}, put it there and press R to refresh.{choice}")


@contextmanager
def published_at(address: str) -> Generator[None]:
    """Add the right file's address to errors about a wrong file."""
    try:
        yield
    except CheckpointError as error:
        if address in str(error):
            raise
        raise CheckpointError(f"{error} It is published at {address}.") from error


def find_relation(name: str) -> Path:
    """Find a saved relation.

    Raises:
        CheckpointError: it is not there.
    """
    return find_file(RELATIONS, name, "Save one with Save Relation, or put a shared one there and press R to refresh.")
