"""The ``LoadRelation`` node."""

from __future__ import annotations

import comfy.model_management
import folder_paths
from comfy_api.latest import io, ui

from ..relation_core.files.file_state import file_state
from ..relation_core.relation.relation_file import load_relation
from .folders import RELATIONS, find_relation
from .host_progress import HostProgress
from .sockets import CATEGORY, LoadedRelationAdapter, RelationAdapterSocket, RelationSocket


class LoadRelation(io.ComfyNode):
    """Load a saved relation."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="LoadRelation",
            display_name="Load Relation",
            category=CATEGORY,
            description="Loads a relation that Save Relation wrote, and shows its exemplar pairs. It needs no vision"
            " model.",
            search_aliases=["relation adapter", "import relation", "shared edit", "load embeds"],
            inputs=[
                RelationAdapterSocket.Input("relation_adapter", tooltip="The adapter that the relation was made with."),
                io.Combo.Input(
                    "relation_name",
                    options=folder_paths.get_filename_list(RELATIONS),
                    tooltip="A file from models/relations, or from relations in the output folder.",
                ),
            ],
            outputs=[
                RelationSocket.Output(
                    "relation", display_name="relation", tooltip="The relation, for Apply RelationAdapter."
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, relation_name: str | None) -> bool | str:
        """Report a missing file with its folders; a name that another node provides is None until the run."""
        try:
            if relation_name is not None:
                find_relation(relation_name)
        except ValueError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, relation_name: str | None, **_: object) -> object:
        """Reload when the file was replaced."""
        return None if relation_name is None else file_state(find_relation(relation_name))

    @classmethod
    def execute(cls, relation_adapter: LoadedRelationAdapter, relation_name: str) -> io.NodeOutput:
        """Read the file and compute its keys and values."""
        adapter = relation_adapter.adapter
        device = comfy.model_management.get_torch_device()
        path = find_relation(relation_name)
        relation = load_relation(path, adapter, device, HostProgress())
        return io.NodeOutput(relation, ui=ui.PreviewImage(relation.thumbnails.float() / 255.0, cls=cls))
