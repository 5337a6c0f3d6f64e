"""T5-XXL in its real size, as a file that is mostly holes: ComfyUI knows no other size."""

from __future__ import annotations

from pathlib import Path

import torch

from .sparse_file import write_sparse

T5_WIDTH, _HIDDEN, _VOCABULARY = 4096, 10240, 32128
T5_ROWS = _VOCABULARY // 128
"""Words that differ; they are repeated."""


def write_t5_xxl(path: Path, words: torch.Tensor, scaled: bool = False) -> None:
    """Write zeros, but for what every word is, in float8: 4.8 GB that take 130 MB of disk.

    Args:
        path: of the file.
        words: (T5_ROWS, T5_WIDTH).
        scaled: lay it out as ComfyUI's scaled float8 files, with a scale beside every matrix.
    """
    shapes: dict[str, tuple[int, ...]] = {
        "shared.weight": (_VOCABULARY, T5_WIDTH),
        "encoder.final_layer_norm.weight": (T5_WIDTH,),
        "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight": (32, 64),
    }
    matrices: dict[str, tuple[int, ...]] = {}
    for index in range(24):
        block = f"encoder.block.{index}.layer"
        matrices |= {f"{block}.0.SelfAttention.{name}": (T5_WIDTH, T5_WIDTH) for name in "qkvo"}
        matrices |= {f"{block}.1.DenseReluDense.wi_{part}": (_HIDDEN, T5_WIDTH) for part in (0, 1)}
        matrices[f"{block}.1.DenseReluDense.wo"] = (T5_WIDTH, _HIDDEN)
        shapes |= {f"{block}.{part}.layer_norm.weight": (T5_WIDTH,) for part in (0, 1)}
    shapes |= {f"{name}.weight": shape for name, shape in matrices.items()}
    written = {
        "shared.weight": words.to(torch.float8_e4m3fn),
        "encoder.final_layer_norm.weight": torch.ones(T5_WIDTH).to(torch.float8_e4m3fn),
    }
    if scaled:
        shapes |= {"scaled_fp8": (0,), **{f"{name}.scale_weight": () for name in matrices}}
        written |= {f"{name}.scale_weight": torch.ones(()) for name in matrices}
        written["shared.weight"] = words.half()
        written["encoder.final_layer_norm.weight"] = torch.ones(T5_WIDTH).half()
    write_sparse(path, shapes, "F8_E4M3", written)
