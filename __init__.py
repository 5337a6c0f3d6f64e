"""RelationAdapter for ComfyUI: show an edit on one pair of pictures, get it on another picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .nodes import RelationAdapterExtension

__all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]

WEB_DIRECTORY = "./web"
"""Holds the help pages, and what Load Relation shows before a run."""


async def comfy_entrypoint() -> RelationAdapterExtension:
    """Hand the nodes to ComfyUI. Nothing is imported before it asks."""
    from .nodes import RelationAdapterExtension  # noqa: PLC0415 - needs a running ComfyUI

    return RelationAdapterExtension()
