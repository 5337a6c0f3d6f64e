"""Telling what kind of checkpoint a file is by the names in it, for errors that help."""

from __future__ import annotations

import re
from collections.abc import Iterable

ADAPTER_KIND = "a RelationAdapter"

# (what the file is, a pattern that a name in it matches); the first that matches names the kind.
_KINDS = (
    ("an IP-Adapter of XLabs", r"^ip_adapter_proj_model\.|ip_adapter_(double|single)_stream"),
    (
        "an IP-Adapter for Stable Diffusion",
        r"^image_proj\.(latents|proj\.(weight|3\.)|layers\.)|^ip_adapter\.\d+\.to_\w+_lora\.",
    ),
    ("an IP-Adapter of InstantX with norms of its own", r"^ip_adapter\.\d+\.norm_added_[kv]"),
    ("a LoRA", r"(^|\.)lora_([AB]|up|down)\b|_lora\d?\.(up|down)\.|\.lokr_|\.hada_"),
    ("a ControlNet", r"^(controlnet_|control_model\.|input_hint_block\.|controlnet\.)"),
    ("a PuLID file", r"^(pulid_|id_adapter|pulid_encoder)"),
    (ADAPTER_KIND, r"^(image_proj\.(module\.)?proj\.0\.|ip_adapter\.(module\.)?\d+\.to_[kv]_ip\.)"),
    ("a CLIP vision model", r"^visual\.|^vision_model\.(pre_layrnorm\.|embeddings\.class_embedding)"),
    ("a SigLIP vision model", r"^vision_model\."),
    ("a DINO vision model", r"^(encoder\.layer|layer)\.\d+\."),
    ("a Flux diffusion model", r"(^|\.)(double_blocks|single_blocks|transformer_blocks|single_transformer_blocks)\.\d"),
    ("a Stable Diffusion model", r"^(model\.diffusion_model|down_blocks|input_blocks)\."),
    ("a text encoder", r"^(text_model|encoder\.block|shared)\b"),
    ("an autoencoder", r"^(encoder|decoder|first_stage_model)\."),
)

_LONGEST = 100


def recognise(names: Iterable[str]) -> tuple[str, str] | None:
    """Name the kind of file that has these tensors, with the name that gave it away; None if it is unknown."""
    names = list(names)
    for kind, pattern in _KINDS:
        for name in names:
            if re.search(pattern, name):
                return kind, name
    return None


def described(names: Iterable[str]) -> str:
    """Say what a file with these tensors holds, for a message."""
    kind = recognise(names)
    return "nothing known" if kind is None else f"{kind[0]} (it has {quoted(kind[1])})"


def quoted(name: str) -> str:
    """Show a name that a file brought in: on one line, and not without end."""
    return repr(name) if len(name) <= _LONGEST else f"{name[:_LONGEST]!r}..."


def shortened(names: Iterable[str], most: int = 4) -> str:
    """List some names for a message."""
    names = list(names)
    shown = ", ".join(quoted(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
