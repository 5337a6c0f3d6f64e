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
        CheckpointError: a tensor is missing, unknown or of another shape.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
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
    module.load_state_dict(dict(tensors), strict=True, assign=True)
    return module
