"""The ``LoadRelationAdapter`` node."""

from __future__ import annotations

import time
from pathlib import Path

import folder_paths
from comfy_api.latest import io

from ..relation_core.adapter.adapter import RelationAdapter, open_adapter
from ..relation_core.adapter.download import ADAPTER_FILE, download_adapter
from ..relation_core.adapter.keys import ADAPTER_ADDRESS
from ..relation_core.errors import RelationAdapterError
from ..relation_core.files.file_state import file_state
from ..relation_core.vision.vision_file import VISION_ADDRESS, config_file
from .folders import ADAPTERS, VISION, find_download, published_at, released_adapter
from .host_progress import HostByteProgress
from .sockets import CATEGORY, LoadedRelationAdapter, RelationAdapterSocket
from .vision_tower import VisionTower, load_vision_tower

DOWNLOAD = f"download {ADAPTER_FILE} (5.3 GB)"
"""The menu entry that downloads the released adapter if it is missing. Nothing else here uses the network."""


class LoadRelationAdapter(io.ComfyNode):
    """Open an adapter file and its vision model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="LoadRelationAdapter",
            display_name="Load RelationAdapter",
            category=CATEGORY,
            description="Opens a RelationAdapter and the SigLIP vision model that looks at the exemplar pair.",
            search_aliases=["relation adapter", "edit transfer", "visual prompt", "image analogy", "siglip"],
            inputs=[
                io.Combo.Input(
                    "adapter_name",
                    options=[*folder_paths.get_filename_list(ADAPTERS), DOWNLOAD],
                    tooltip="The adapter, from models/relation_adapter: ip_adapter-100000.bin as published by its "
                    "authors, or a .safetensors file converted from it. The last entry downloads it if it is"
                    " missing.",
                ),
                io.Combo.Input(
                    "vision_name",
                    options=folder_paths.get_filename_list(VISION),
                    tooltip="The SigLIP vision model, from models/clip_vision: "
                    "sigclip_vision_patch14_384.safetensors, which Flux Redux uses too.",
                ),
            ],
            outputs=[
                RelationAdapterSocket.Output(
                    "relation_adapter",
                    display_name="relation_adapter",
                    tooltip="The opened adapter, for Encode Relation Exemplars. Its weights stay on disk.",
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, adapter_name: str | None, vision_name: str | None) -> bool | str:
        """Report a missing file with its folder and address."""
        try:
            _file_states(adapter_name, vision_name)
        except RelationAdapterError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, adapter_name: str | None, vision_name: str | None) -> object:
        """Reload when a file was replaced, and always when one is to be downloaded."""
        return _file_states(adapter_name, vision_name)

    @classmethod
    def execute(cls, adapter_name: str, vision_name: str) -> io.NodeOutput:
        """Open both files, the vision model first, so that its errors show before a long download."""
        vision = _load_vision(vision_name)
        return io.NodeOutput(LoadedRelationAdapter(_open_adapter(adapter_name), vision))


def _load_vision(name: str) -> VisionTower:
    with published_at(VISION_ADDRESS):
        return load_vision_tower(find_download(VISION, name, VISION_ADDRESS))


def _open_adapter(name: str) -> RelationAdapter:
    if name == DOWNLOAD:
        return download_adapter(released_adapter().parent, HostByteProgress())
    with published_at(ADAPTER_ADDRESS):
        return open_adapter(find_download(ADAPTERS, name, ADAPTER_ADDRESS, DOWNLOAD))


def _file_states(adapter_name: str | None, vision_name: str | None) -> list[object]:
    """Find both files; a name that another node provides is None until the run, and skipped."""
    states: list[object] = []
    if adapter_name == DOWNLOAD:
        file = released_adapter()
        states.append(file_state(file) if file.exists() else time.time_ns())  # a value that is never repeated
    elif adapter_name is not None:
        states.append(file_state(find_download(ADAPTERS, adapter_name, ADAPTER_ADDRESS, DOWNLOAD)))
    if vision_name is not None:
        states += _vision_states(find_download(VISION, vision_name, VISION_ADDRESS))
    return states


def _vision_states(path: Path) -> list[object]:
    """The states of the file and of the configuration beside it, if there is one, which gives its sizes."""
    config = config_file(path)
    return [file_state(path), file_state(config) if config.exists() else None]
