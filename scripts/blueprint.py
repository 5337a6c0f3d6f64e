"""The subgraph blueprint that comes with the pack: its name and its file."""

from __future__ import annotations

from comfyui_host.find import PACK

NAME = "Relation Transfer"
BLUEPRINT = PACK / "subgraphs" / f"{NAME}.json"
