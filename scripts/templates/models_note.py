"""The note that says which models a workflow needs, and where they go."""

from __future__ import annotations

from .files import ADAPTER, ADAPTER_PAGE
from .template import ModelFile


def models_note(*models: ModelFile, chosen: str = "above", downloaded: str = "Load RelationAdapter") -> str:
    """Write the note.

    Args:
        models: the files.
        chosen: where the user chooses them.
        downloaded: the node that downloads the adapter.
    """
    lines = ["### Models", "Into ComfyUI's folder `models`:"]
    for model in models:
        page = ADAPTER_PAGE if model is ADAPTER else model.url
        lines.append(f"`{model.directory}/` [{model.name}]({page})")
        if model is ADAPTER:
            lines.append(
                "5.3 GB. ComfyUI offers to download the others, but not a `.bin`: choose *download* in "
                f"*{downloaded}*, or download it yourself."
            )
    return "\n\n".join([*lines, f"Then press **R** and choose them {chosen}."]) + "\n"
