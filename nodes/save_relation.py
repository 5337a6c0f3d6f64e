"""The ``SaveRelation`` node."""

from __future__ import annotations

import itertools
import os
from datetime import datetime, timezone
from pathlib import Path

import folder_paths
from comfy_api.latest import io, ui

from ..relation_core.errors import RelationAdapterError
from ..relation_core.relation.relation import Relation
from ..relation_core.relation.relation_file import save_relation, unwritable
from ..relation_core.weights.library_card import LibraryCard
from ..relation_core.weights.lock import BusyError, alone_at
from .folders import saved_relations_folder
from .sockets import CATEGORY, RelationSocket


class SaveRelation(io.ComfyNode):
    """Save a relation to a file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="SaveRelation",
            display_name="Save Relation",
            category=CATEGORY,
            description="Saves a relation to relations/ in the output folder, about 2 MB per exemplar pair, to reuse"
            " or share it. The file contains small pictures of the pairs.",
            search_aliases=["relation adapter", "export relation", "share edit", "save embeds"],
            is_output_node=True,
            inputs=[
                RelationSocket.Input("relation", tooltip="The relation to save."),
                io.String.Input(
                    "filename_prefix",
                    default="relation",
                    tooltip="The start of the file name; a number follows. Folders and %date:yyyy-MM-dd% work as in "
                    "Save Image.",
                ),
                io.String.Input(
                    "title",
                    default="",
                    optional=True,
                    tooltip="The name that the model library shows. Empty: the file's name.",
                ),
                io.String.Input(
                    "description",
                    default="",
                    multiline=True,
                    optional=True,
                    tooltip="What the edit does and what it suits, for the model library.",
                ),
            ],
            outputs=[],
        )

    @classmethod
    def execute(cls, relation: Relation, filename_prefix: str, title: str = "", description: str = "") -> io.NodeOutput:
        """Write the file, and show the pairs."""
        folder, name, counter, _, _ = folder_paths.get_save_image_path(filename_prefix, str(saved_relations_folder()))
        date = datetime.now(timezone.utc).isoformat(timespec="seconds")
        for number in itertools.count(counter):
            path = Path(folder) / f"{name}_{number:05}_.safetensors"
            if _saved(relation, path, LibraryCard(title.strip() or path.stem, description, date)):
                break
        return io.NodeOutput(ui=ui.PreviewImage(relation.thumbnails.float() / 255.0, cls=cls))


def _saved(relation: Relation, path: Path, card: LibraryCard) -> bool:
    """Save a relation, unless another server that shares the folder has used its name or uses it now."""
    try:
        with alone_at(path, "saving"):
            if os.path.lexists(path):
                return False
            save_relation(relation, path, card)
    except BusyError:
        return False
    except RelationAdapterError:  # a ValueError too: it says what is wrong with the relation
        raise
    except (OSError, ValueError) as error:
        raise unwritable(path, error) from error
    return True
