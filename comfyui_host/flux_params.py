"""Parameters of ComfyUI's Flux that are the same in FLUX.1 and in every small model of its kind."""

from __future__ import annotations

from typing import Any

FLUX_PARAMS: dict[str, Any] = {
    "in_channels": 16,
    "out_channels": 16,
    "mlp_ratio": 4.0,
    "axes_dim": [16, 56, 56],
    "theta": 10000,
    "patch_size": 2,
    "qkv_bias": True,
    "guidance_embed": True,
    "txt_ids_dims": [],
}
