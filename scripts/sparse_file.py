"""Safetensors files that are mostly holes: full-size stand-ins that take hardly any disk."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import torch

BYTES = {"F8_E4M3": 1, "F16": 2, "BF16": 2, "F32": 4}
NAMES = {torch.float8_e4m3fn: "F8_E4M3", torch.float16: "F16", torch.bfloat16: "BF16", torch.float32: "F32"}


def write_sparse(
    path: Path, shapes: Mapping[str, tuple[int, ...]], dtype: str, written: Mapping[str, torch.Tensor]
) -> None:
    """Write a ``.safetensors`` file whose tensors are zero but for a few.

    Zeros are holes, on file systems that have them.

    Args:
        path: of the file.
        shapes: of every tensor, by name.
        dtype: of those that are zero, in safetensors' words.
        written: the tensors that are not zero, in their own dtypes. One with fewer rows than ``shapes`` says is
            repeated to fill it.
    """
    dtypes = {name: NAMES[written[name].dtype] if name in written else dtype for name in shapes}
    places: dict[str, tuple[int, int]] = {}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + math.prod(shape) * BYTES[dtypes[name]]
        places[name] = (start, end)
    header = {name: {"dtype": dtypes[name], "shape": shapes[name], "data_offsets": places[name]} for name in shapes}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        first = file.tell()
        file.truncate(first + end)
        for name, tensor in written.items():
            start, stop = places[name]
            data = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
            file.seek(first + start)
            for _ in range((stop - start) // len(data)):
                file.write(data)
