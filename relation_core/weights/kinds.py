"""Recognise the kind of a checkpoint by its tensor names, for error messages."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple


class FileKind(str, Enum):
    """The kind of a weights file. The value is its name in messages."""

    XLABS_IP_ADAPTER = "an IP-Adapter of XLabs"
    IP_ADAPTER = "an IP-Adapter for Stable Diffusion"
    INSTANTX_IP_ADAPTER = "an InstantX IP-Adapter with its own norms"
    LORA = "a LoRA"
    CONTROLNET = "a ControlNet"
    PULID = "a PuLID file"
    ADAPTER = "a RelationAdapter"
    CLIP_VISION = "a CLIP vision model"
    SIGLIP_VISION = "a SigLIP vision model"
    DINO_VISION = "a DINO vision model"
    FLUX = "a Flux diffusion model"
    STABLE_DIFFUSION = "a Stable Diffusion model"
    TEXT_ENCODER = "a text encoder"
    AUTOENCODER = "an autoencoder"

    def __str__(self) -> str:
        return self.value


class Recognised(NamedTuple):
    """A kind of file, and the evidence."""

    kind: FileKind
    name: str
    """The tensor name that shows it."""


_PATTERNS = {
    FileKind.XLABS_IP_ADAPTER: r"^ip_adapter_proj_model\.|ip_adapter_(double|single)_stream",
    FileKind.IP_ADAPTER: r"^image_proj\.(latents|proj\.(weight|3\.)|layers\.)|^ip_adapter\.\d+\.to_\w+_lora\.",
    FileKind.INSTANTX_IP_ADAPTER: r"^ip_adapter\.\d+\.norm_added_[kv]",
    FileKind.LORA: r"(^|\.)lora_([AB]|up|down)\b|[._]lora(\d|_linear_layer)?\.(up|down)\.|\.lokr_|\.hada_",
    FileKind.CONTROLNET: r"^(controlnet_|control_model\.|input_hint_block\.|controlnet\.)",
    FileKind.PULID: r"^(pulid_|id_adapter|pulid_encoder)",
    FileKind.ADAPTER: r"^(image_proj\.(module\.)?proj\.0\.|ip_adapter\.(module\.)?\d+\.to_[kv]_ip\.)",
    FileKind.CLIP_VISION: r"^visual\.|^vision_model\.(pre_layrnorm\.|embeddings\.class_embedding)",
    FileKind.SIGLIP_VISION: r"^vision_model\.",
    FileKind.DINO_VISION: r"^(encoder\.layer|layer)\.\d+\.",
    FileKind.FLUX: r"(^|\.)(double_blocks|single_blocks|transformer_blocks|single_transformer_blocks)\.\d",
    FileKind.STABLE_DIFFUSION: r"^(model\.diffusion_model|down_blocks|input_blocks)\.",
    FileKind.TEXT_ENCODER: r"^(text_model|encoder\.block|shared)\b",
    FileKind.AUTOENCODER: r"^(encoder|decoder|first_stage_model)\.",
}
"""For each kind, a pattern that one of its tensor names matches. The first match wins."""

_LONGEST = 100


def recognise(names: Iterable[str]) -> Recognised | None:
    """Tell the kind of file from its tensor names; None if it is unknown."""
    names = list(names)
    for kind, pattern in _PATTERNS.items():
        for name in names:
            if re.search(pattern, name):
                return Recognised(kind, name)
    return None


def described(names: Iterable[str]) -> str:
    """Describe the contents of a file with these tensors, for a message."""
    found = recognise(names)
    return "nothing known" if found is None else f"{found.kind} (it has {quoted(found.name)})"


def quoted(name: str) -> str:
    """Show a name from a file on one line, shortened if it is long."""
    return repr(name) if len(name) <= _LONGEST else f"{name[:_LONGEST]!r}..."


def shortened(names: Iterable[str], most: int = 4) -> str:
    """List some names for a message."""
    names = list(names)
    shown = ", ".join(quoted(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
