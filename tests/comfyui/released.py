"""Where users get the released files, as errors and menus say it."""

from __future__ import annotations

ENTRY = "download ip_adapter-100000.bin (5.3 GB)"
ADDRESS = "https://huggingface.co/handsomeWilliam/RelationAdapter"
VISION_ADDRESS = "https://huggingface.co/Comfy-Org/sigclip_vision_384"
