"""Write weights files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from relation_core.weights.atomic import appearing

_TORCH: Any = safetensors.torch  # partly untyped


def write_weights(
    path: Path, tensors: Mapping[str, torch.Tensor], dtype: torch.dtype, metadata: dict[str, str] | None = None
) -> Path:
    """Write copies of tensors in one dtype to a ``.safetensors`` file, which appears whole or not at all."""
    copies = {name: tensor.detach().to("cpu", dtype).contiguous().clone() for name, tensor in tensors.items()}
    with appearing(path) as unfinished:
        _TORCH.save_file(copies, unfinished, metadata=metadata)
    return path
