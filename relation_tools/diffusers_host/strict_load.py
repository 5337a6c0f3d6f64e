"""Load weights into a module completely or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import torch

from relation_core.errors import CheckpointError
from relation_core.weights.kinds import shortened

_Module = TypeVar("_Module", bound=torch.nn.Module)


def load_strictly(module: _Module, tensors: Mapping[str, torch.Tensor], path: Path) -> _Module:
    """Give a module, made on the meta device, its weights, and return it.

    Raises:
        CheckpointError: a tensor is missing, unknown, of another shape, or not finite.
    """
    check_shapes(module, {name: tuple(tensor.shape) for name, tensor in tensors.items()}, path)
    module.load_state_dict(checked(tensors, path), strict=True, assign=True)
    return module


def checked(tensors: Mapping[str, torch.Tensor], path: Path) -> dict[str, torch.Tensor]:
    """Give the tensors back.

    Raises:
        CheckpointError: some of their values are not finite.
    """
    strange = [name for name, tensor in tensors.items() if not _is_finite(tensor)]
    if strange:
        raise CheckpointError(
            f"{path} has NaN or infinite values in {shortened(sorted(strange))}; expected finite values only. The file "
            "is damaged, or has values too large for the dtype: download it again, or choose another dtype."
        )
    return dict(tensors)


def check_shapes(module: torch.nn.Module, found: Mapping[str, tuple[int, ...]], path: Path) -> None:
    """Hold the names and shapes of weights against a module, before they are read.

    Raises:
        CheckpointError: a tensor is missing, unknown or of another shape.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    problems = [
        f"{label}: {shortened(sorted(names))}."
        for label, names in (("Missing", expected.keys() - found.keys()), ("Unknown", found.keys() - expected.keys()))
        if names
    ]
    wrong = [name for name in expected if name in found and found[name] != expected[name]]
    problems += [f"'{name}' is {found[name]}, expected {expected[name]}." for name in wrong[:3]]
    if problems:
        raise CheckpointError(
            f"{path} is not a complete {type(module).__name__}. {' '.join(problems)} Download the file again."
        )


def _is_finite(tensor: torch.Tensor) -> bool:
    if not tensor.numel() or not tensor.is_floating_point():
        return True
    lowest, highest = (tensor.float() if tensor.itemsize == 1 else tensor).aminmax()  # float8 has no order
    return bool(lowest.isfinite()) and bool(highest.isfinite())
