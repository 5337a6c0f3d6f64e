"""Read the claims of a pickle of tensors before anything is allocated for it, without executing it.

PyTorch allocates what the pickle asks for before it looks at the file; a few hundred bytes can ask for gigabytes.
"""

from __future__ import annotations

import math
import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import torch

MAX_PICKLE_BYTES = 4 << 20
"""Pickles of the largest models have some hundred thousand."""

_STORAGES = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
}
_HARMLESS = frozenset(
    {
        "torch.Size",
        "torch.device",
        "torch.serialization._get_layout",
        "_codecs.encode",
        "builtins.complex",
        "torch._utils._rebuild_sparse_tensor",
        "torch._utils._rebuild_nested_tensor",
        "torch._utils._rebuild_meta_tensor_no_storage",
        "torch._utils._rebuild_wrapper_subclass",
        "torch.nested._internal.nested_tensor._rebuild_njt",
        "torch._dynamo.decorators._DimRange",
    }
)
"""Calls that PyTorch makes for a pickle which allocate nothing by a number in it and give no plain tensor."""
_BUILTINS_OF_PYTHON_2 = "__builtin__"
_REBUILD = "torch._utils._rebuild_"
_PLAIN, _QUANTIZED = ("tensor", "tensor_v2", "tensor_v3"), "qtensor"


class ClaimError(Exception):
    """A pickle claims more than its file can have, or asks for something that weights do not need."""


@dataclass(frozen=True)
class StorageClaim:
    """A stretch of values in the file."""

    key: str
    dtype: torch.dtype | None
    """None for raw bytes, or for an unknown type."""
    numel: int


@dataclass(frozen=True)
class TensorClaim:
    """A plain tensor as the pickle describes it."""

    storage: StorageClaim
    dtype: torch.dtype | None
    offset: int
    """Offset in the storage, in values."""
    shape: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True)
class _Name:
    """A function or class that the pickle names."""

    name: str


_MARK = object()
_OTHER = object()
"""Any value that does not matter."""


def read_claims(pickle: BinaryIO, check_storage: Callable[[StorageClaim], None]) -> Any:
    """Follow a pickle to its end.

    Args:
        pickle: where it begins.
        check_storage: told of every storage; it raises :class:`ClaimError` where the file cannot have it.

    Returns:
        Its dictionaries, with a :class:`TensorClaim` for each plain tensor; other values do not matter.

    Raises:
        ClaimError: its claims are impossible. ValueError, IndexError, KeyError, TypeError: it is not a pickle, or is
        damaged.
    """
    reader = _Reader(check_storage)
    for opcode, argument, _ in pickletools.genops(pickle):
        if opcode.name == "STOP":
            return reader.stack.pop()
        reader.step(opcode.name, argument)
    raise ValueError("the pickle does not end")


class _Reader:
    """A machine for the instructions of PyTorch's own reader, which allocates nothing."""

    def __init__(self, check_storage: Callable[[StorageClaim], None]) -> None:
        self.stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._check_storage = check_storage

    def step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name == "MARK":
            stack.append(_MARK)
        elif name in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self._memo[argument])
        elif name == "TUPLE":
            stack.append(tuple(self._pop_mark()))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            stack[-count:] = [tuple(stack[-count:])]
        elif name in ("SETITEM", "SETITEMS"):
            self._set_items([stack.pop(-2), stack.pop()] if name == "SETITEM" else self._pop_mark())
        elif name in ("APPEND", "APPENDS"):
            items = [stack.pop()] if name == "APPEND" else self._pop_mark()
            if isinstance(stack[-1], list):
                cast("list[Any]", stack[-1]).extend(items)
        elif name in ("REDUCE", "NEWOBJ"):
            arguments = stack.pop()
            stack[-1] = _called(stack[-1], arguments)
        elif name == "BUILD":
            stack.pop()
        elif name == "BINPERSID":
            stack[-1] = self._storage(stack[-1])
        elif name != "PROTO":
            stack.append(_constant(name, argument))

    def _pop_mark(self) -> list[Any]:
        place = len(self.stack) - 1
        while self.stack[place] is not _MARK:
            place -= 1
        items = self.stack[place + 1 :]
        del self.stack[place:]
        return items

    def _set_items(self, items: list[Any]) -> None:
        for key in items[::2]:
            if isinstance(key, (tuple, frozenset)):  # which may take for ever to hash
                raise ClaimError(f"it has a {type(cast('object', key)).__name__} for a name")
        target = self.stack[-1]
        if isinstance(target, dict):
            pairs = zip(items[::2], items[1::2], strict=True)
            cast("dict[str, Any]", target).update({key: value for key, value in pairs if isinstance(key, str)})

    def _storage(self, found: Any) -> Any:
        parts = cast("tuple[Any, ...]", found) if isinstance(found, tuple) else ()
        if len(parts) < 5 or not isinstance(parts[1], _Name) or type(parts[4]) is not int:
            return _OTHER
        storage = StorageClaim(str(parts[2]), _STORAGES.get(parts[1].name.rpartition(".")[2]), parts[4])
        self._check_storage(storage)
        return storage


_EMPTY: Mapping[str, Callable[[], Any]] = {
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_SET": lambda: _OTHER,
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
}


def _constant(name: str, argument: Any) -> Any:
    if name == "GLOBAL":
        module, _, function = argument.partition(" ")
        return _Name(f"{'builtins' if module == _BUILTINS_OF_PYTHON_2 else module}.{function}")
    if name in _EMPTY:
        return _EMPTY[name]()
    if name in ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING"):
        return argument
    raise ValueError(f"it has the instruction {name}, which no file of tensors has")


def _called(function: Any, arguments: Any) -> Any:
    if not isinstance(function, _Name):
        return _OTHER
    name, values = function.name, cast("tuple[Any, ...]", arguments) if isinstance(arguments, tuple) else ()
    if name == "collections.OrderedDict" and not values:
        return {}
    if name == "torch._tensor._rebuild_from_type_v2" and len(values) > 2:
        return _called(values[0], values[2])
    if name.startswith(_REBUILD):
        kind = name.removeprefix(_REBUILD)
        if kind in ("parameter", "parameter_with_state"):
            return values[0] if values else _OTHER
        if kind in (*_PLAIN, _QUANTIZED):
            return _tensor(kind, values)
    allowed_by_torch = name.startswith(("torch.", "collections.", "builtins.bytearray", "builtins.set"))
    flat = name == "builtins.set" and not any(isinstance(value, tuple) for part in values for value in part)
    if flat or name in _HARMLESS or not allowed_by_torch:  # the last PyTorch refuses itself
        return _OTHER
    raise ClaimError(f"it asks for {name}, which was not run")


def _tensor(kind: str, values: tuple[Any, ...]) -> Any:
    storage, offset, shape, stride = values[:4]
    numbers = (offset, *shape, *stride)
    if not isinstance(storage, StorageClaim) or not all(type(number) is int for number in numbers):
        return _OTHER
    if len(shape) != len(stride) or min(numbers) < 0:
        raise ClaimError(f"it has a tensor of the shape {str(shape)[:60]} with the strides {str(stride)[:60]}")
    last = offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
    if math.prod(shape) and max(math.prod(shape), last + 1) > storage.numel:
        raise ClaimError(
            f"it has a tensor that claims more values than the file has, {str(shape)[:60]} from number {offset} of "
            f"{storage.numel}"
        )
    if kind == _QUANTIZED:
        return _OTHER
    return TensorClaim(storage, storage.dtype if kind != "tensor_v3" else None, offset, tuple(shape), tuple(stride))
