"""A quantised transformer, as users of GGUF files have it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import gguf
import torch


def write_gguf_base(path: Path, tensors: Mapping[str, torch.Tensor]) -> Path:
    """Write a transformer's weights, the matrices of whole blocks as Q8_0."""
    writer, eight = gguf.GGUFWriter(path, "flux"), gguf.GGMLQuantizationType.Q8_0
    for name, tensor in tensors.items():
        values = tensor.float().numpy()
        blocks = tensor.ndim == 2 and tensor.shape[1] % 32 == 0
        writer.add_tensor(
            name, gguf.quants.quantize(values, eight) if blocks else values, raw_dtype=eight if blocks else None
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
