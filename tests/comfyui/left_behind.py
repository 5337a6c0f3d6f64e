"""What learning might leave behind: in a model, in the host, and in memory."""

from __future__ import annotations

import ctypes
import gc
import uuid
from collections import Counter
from typing import Any

import torch

_VALUES = (bool, int, float, str, bytes, type(None), torch.dtype, torch.device, uuid.UUID)
_OURS = {"Learner", "HostPredict", "FrozenWeights", "_LearningBlock", "_LearnedAttention", "Attended", "LearningCall"}


def state_of(model: Any) -> dict[str, Any]:
    """Everything of a model (a ``ModelPatcher``) and of the host that learning might leave changed."""
    from comfy import model_management as management

    return {
        "patcher": _described(vars(model)),
        "model": _described(vars(model.model)),
        "modules": {name: _described(vars(module)) for name, module in model.model.named_modules()},
        "flags": (management.in_training, torch.is_inference_mode_enabled(), torch.is_grad_enabled()),
    }


def changes(before: Any, after: Any, place: str = "") -> list[str]:
    """Name the places where two states differ."""
    if before == after:
        return []
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return [place]
    return [
        found for name in {**before, **after} for found in changes(before.get(name), after.get(name), f"{place}/{name}")
    ]


def held() -> Counter[str]:
    """Count what is alive: loaded models, tensors, their bytes, those that hold a tape, and the objects of learning."""
    from comfy import model_management as management

    gc.collect()
    found = Counter({"loaded models": len(management.current_loaded_models)})
    storages: dict[int, int] = {}
    for thing in gc.get_objects():
        if issubclass(type(thing), torch.Tensor):
            found["tensors"] += 1
            found["tensors with a tape"] += thing.grad_fn is not None
            if thing.layout == torch.strided and not thing.is_meta:
                storages[thing.untyped_storage().data_ptr()] = thing.untyped_storage().nbytes()
        elif type(thing).__name__ in _OURS:
            found[type(thing).__name__] += 1
    found["bytes"] = sum(storages.values())
    return found


def allocated() -> int:
    """Bytes that glibc has given out, with what no Python object holds; 0 where there is no glibc."""
    count = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if count is None:
        return 0
    count.restype = _Mallinfo
    known = count()
    return known.uordblks + known.hblkhd


class _Mallinfo(ctypes.Structure):
    """The C library's ``struct mallinfo2``."""

    _fields_ = [
        *((name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks")),
        *((name, ctypes.c_size_t) for name in ("uordblks", "fordblks", "keepcost")),
    ]


def _described(value: Any) -> Any:
    """A picture of a value that can be compared: containers by their contents, tensors by their bits."""
    if isinstance(value, _VALUES):
        return value
    if isinstance(value, torch.Tensor):
        bits = value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes()
        return id(value), value.requires_grad, value.is_inference(), value.grad is None, hash(bits)
    if isinstance(value, dict):
        return {str(key): _described(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return {str(place): _described(part) for place, part in enumerate(value)}
    if isinstance(value, (set, frozenset)):
        return sorted(map(repr, value))
    return type(value).__name__, id(value)
