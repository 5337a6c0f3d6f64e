"""GGUF files as ComfyUI users have them: the original names, matrices in blocks, the rest in float32 or bfloat16."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import torch
from small_pipeline import original_names


def write_gguf(path: Path, tensors: dict[str, torch.Tensor], kind: str = "Q8_0", rest: str = "F32") -> Path:
    """Write tensors; those of two axes and whole blocks are quantised."""
    quantised, plain = gguf.GGMLQuantizationType[kind], gguf.GGMLQuantizationType[rest]
    block = gguf.GGML_QUANT_SIZES[quantised][0]
    writer = gguf.GGUFWriter(path, "flux")
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_array("comfy.gguf.notes", ["one", "two"])
    for name, tensor in tensors.items():
        as_blocks = tensor.ndim == 2 and tensor.shape[1] % block == 0
        which = quantised if as_blocks else plain
        values = tensor.float().contiguous().numpy()
        writer.add_tensor(name, gguf.quants.quantize(np.ascontiguousarray(values), which), raw_dtype=which)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def flux_gguf(path: Path, source: Path, kind: str = "Q8_0", rest: str = "F32", prefix: str = "") -> Path:
    """A transformer under the original names."""
    named = {f"{prefix}{name}": tensor for name, tensor in original_names(source).items()}
    return write_gguf(path, named, kind, rest)


def decoded(path: Path, prefix: str = "") -> dict[str, torch.Tensor]:
    """The values of a file by the gguf library, in float32."""
    return {
        tensor.name.removeprefix(prefix): torch.from_numpy(
            gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32).reshape(tensor.shape[::-1])
        ).clone()
        for tensor in gguf.GGUFReader(path).tensors
    }
