"""The ``LoadRelationAdapter`` node."""

from __future__ import annotations

import folder_paths
from comfy_api.latest import io

from ..relation_core.adapter import open_adapter
from ..relation_core.adapter_keys import ADAPTER_ADDRESS
from ..relation_core.errors import RelationAdapterError
from ..relation_core.vision import VISION_ADDRESS
from .folders import ADAPTERS, VISION, file_state, find_file
from .sockets import CATEGORY, LoadedRelationAdapter, RelationAdapterSocket
from .vision_tower import load_vision_tower


class LoadRelationAdapter(io.ComfyNode):
    """Open an adapter file and the vision model it sees through."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="LoadRelationAdapter",
            display_name="Load RelationAdapter",
            category=CATEGORY,
            description="Opens a RelationAdapter and the SigLIP vision model that it sees the exemplar pair through.",
            search_aliases=["relation adapter", "edit transfer", "visual prompt", "image analogy", "siglip"],
            inputs=[
                io.Combo.Input(
                    "adapter_name",
                    options=folder_paths.get_filename_list(ADAPTERS),
                    tooltip="The adapter, from models/relation_adapter: ip_adapter-100000.bin, as its authors publish "
                    "it, or a .safetensors file converted from it.",
                ),
                io.Combo.Input(
                    "vision_name",
                    options=folder_paths.get_filename_list(VISION),
                    tooltip="The SigLIP vision model, from models/clip_vision: "
                    "sigclip_vision_patch14_384.safetensors, the one that Flux Redux uses too.",
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
        """Name the folder and the address of a file that is not there."""
        try:
            _file_states(adapter_name, vision_name)
        except RelationAdapterError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, adapter_name: str | None, vision_name: str | None) -> object:
        """Load again when a file was replaced."""
        return _file_states(adapter_name, vision_name)

    @classmethod
    def execute(cls, adapter_name: str, vision_name: str) -> io.NodeOutput:
        """Open both files."""
        adapter = open_adapter(find_file(ADAPTERS, adapter_name, ADAPTER_ADDRESS))
        vision = load_vision_tower(find_file(VISION, vision_name, VISION_ADDRESS))
        return io.NodeOutput(LoadedRelationAdapter(adapter, vision))


def _file_states(adapter_name: str | None, vision_name: str | None) -> list[tuple[str, int, int]]:
    """Find both files; a name that another node will bring is None until then, and passed over."""
    wanted = ((ADAPTERS, adapter_name, ADAPTER_ADDRESS), (VISION, vision_name, VISION_ADDRESS))
    return [file_state(find_file(folder, name, address)) for folder, name, address in wanted if name is not None]
