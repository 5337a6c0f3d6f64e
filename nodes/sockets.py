"""The types of the connections between nodes."""

from __future__ import annotations

from dataclasses import dataclass

from comfy_api.latest import io

from ..relation_core.adapter.adapter import RelationAdapter
from .vision_tower import VisionTower

CATEGORY = "RelationAdapter"

RelationAdapterSocket = io.Custom("RELATION_ADAPTER")
"""Carries :class:`LoadedRelationAdapter`."""

RelationSocket = io.Custom("RELATION")
"""Carries :class:`relation_core.relation.Relation`."""

WatchSocket = io.Custom("RELATION_WATCH")
"""Carries :class:`watch.Watch`."""


@dataclass(frozen=True)
class LoadedRelationAdapter:
    """An adapter and its vision model."""

    adapter: RelationAdapter
    vision: VisionTower
