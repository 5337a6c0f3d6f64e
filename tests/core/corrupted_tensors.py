"""Adapter files whose tensors or names are wrong."""

from __future__ import annotations

import collections
import io
import pickle
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from code_pickles import Call, zipped
from corrupted_bytes import saved
from corruption import READ, Corruption, file_of, file_of_later
from random_weights import random_weights
from safetensors.torch import save

from relation_core.adapter.config import RelationConfig

CONFIG = RelationConfig(blocks=2, heads=1, head_dim=128, tokens=3, text_dim=10, vision_dim=6, projection_dim=7)
NAMES = tuple(random_weights(CONFIG))


def weights(seed: int = 0, dtype: torch.dtype = torch.bfloat16) -> dict[str, Any]:
    return random_weights(CONFIG, seed, dtype)


def nested(flat: dict[Any, Any]) -> dict[str, dict[Any, Any]]:
    """The layout of the released file."""
    content: dict[str, dict[Any, Any]] = {"image_proj": {}, "ip_adapter": {}}
    for name, tensor in flat.items():
        group, inner = name.split(".", 1)
        content.setdefault(group, {})[inner] = tensor
    return content


def whole_bin() -> bytes:
    return saved(nested(weights()))


def whole_legacy() -> bytes:
    return saved(nested(weights()), legacy=True)


def whole_safetensors() -> bytes:
    return save(weights())


WHOLE = {"zip.bin": whole_bin, "legacy.bin": whole_legacy, "flat.safetensors": whole_safetensors}


def dtypes() -> Iterator[Corruption]:
    kinds = (
        *(torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64, torch.bool, torch.float64),
        *(torch.complex64, torch.complex128, torch.float8_e4m3fn, torch.float8_e5m2, torch.uint16),
    )
    for index, dtype in enumerate(kinds):
        name = NAMES[index % len(NAMES)]
        changed = {**weights(), name: weights()[name].to(dtype)}
        says = f"{name}.*{dtype}.*expected bfloat16, float16 or float32"
        yield file_of(f"{dtype} in a pickle", saved(nested(changed)), says=says)
        if dtype != torch.complex128:  # the format has no such dtype
            yield file_of(f"{dtype} in safetensors", save(changed), ".safetensors", says=says)
    mixed = {name: tensor.to(torch.float16 if index % 2 else torch.float32) for index, (name, tensor) in _numbered()}
    yield file_of("floats of two kinds", save(mixed), ".safetensors", READ)


def _numbered() -> Any:
    return enumerate(weights(dtype=torch.float32).items())


_ODD: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "sparse": lambda plain: plain.to_sparse(),
    "sparse rows": lambda plain: plain.to_sparse_csr(),
    "quantized": lambda plain: torch.quantize_per_tensor(plain, 0.1, 0, torch.qint8),
    "on no device": lambda plain: torch.empty_like(plain, device="meta"),
    "nested": lambda plain: torch.nested.nested_tensor([plain, plain[:2]]),
    "jagged": lambda plain: torch.nested.nested_tensor([plain, plain[:2]], layout=torch.jagged),  # takes seconds
}


def _with_odd(kind: str) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch calls half of them unfinished or outdated
        odd = _ODD[kind](weights(dtype=torch.float32)[NAMES[0]])
        return saved(nested({**weights(), NAMES[0]: odd}))


def odd_tensors() -> Iterator[Corruption]:
    name = NAMES[0]
    plain = weights(dtype=torch.float32)[name]
    for kind in _ODD:
        yield file_of_later(
            f"a tensor that is {kind}", lambda kind=kind: _with_odd(kind), says=f"'{name}' .*expected a"
        )
    vast = {key: value.flatten()[:1].reshape([1] * value.ndim) for key, value in weights().items()}
    vast = {key: value.expand([100_000 * size for size in weights()[key].shape]) for key, value in vast.items()}
    yield file_of("tensors expanded from one value", saved(nested(vast)), says="more values than the file has")
    for kind, tensor in {
        "a parameter": torch.nn.Parameter(plain),
        "transposed": plain.t().contiguous().t(),
        "a part of a bigger one": torch.cat((plain, plain))[: len(plain)],
        "negated in its flags": torch._neg_view(plain),
    }.items():
        yield file_of(f"a tensor that is {kind}", saved(nested({**weights(), name: tensor})), outcome=READ)


def shapes() -> Iterator[Corruption]:
    for index, name in enumerate(NAMES):
        plain = weights()[name]
        changed = {
            "one row more": torch.cat((plain, plain[:1])),
            "one row less": plain[:-1].clone(),
            "no rows": plain[:0].clone(),
            "one axis more": plain[None].clone(),
            "no axis": plain.flatten()[0].clone(),
        }
        if plain.ndim == 2:
            changed |= {"turned": plain.t().contiguous(), "no columns": plain[:, :0].clone()}
        for kind, tensor in changed.items():
            both = {**weights(), name: tensor}
            form = (saved(nested(both)), ".bin") if index % 2 else (save(both), ".safetensors")
            yield file_of(f"{name} with {kind}", *form, says="shape|heads of 128")
    for kind, size in {"columns": "image_proj.proj.0.weight", "hidden units": "image_proj.proj.0.bias"}.items():
        empty = weights()
        empty[size] = empty[size][..., :0].clone()
        if kind == "hidden units":
            empty["image_proj.proj.0.weight"] = empty["image_proj.proj.0.weight"][:0].clone()
            empty["image_proj.proj.2.weight"] = empty["image_proj.proj.2.weight"][:, :0].clone()
        yield file_of(f"no {kind} anywhere", save(empty), ".safetensors", says="shapes")
    yield file_of(
        "everything of no size", save({name: torch.zeros(0) for name in NAMES}), ".safetensors", says="shapes"
    )
    yield file_of(
        "everything one number", save({name: torch.tensor(1.0) for name in NAMES}), ".safetensors", says="shapes"
    )


def names() -> Iterator[Corruption]:
    for index, name in enumerate(NAMES):
        less = {key: value for key, value in weights().items() if key != name}
        form = (saved(nested(less)), ".bin") if index % 2 else (save(less), ".safetensors")
        yield file_of(f"without {name}", *form, says=f"Missing: .*{name}")
    extra = ("ip_adapter.7.to_k_ip.weight", "ip_adapter.01.to_k_ip.weight", "ip_adapter.\u0661.to_k_ip.weight")
    extra += ("image_proj.proj.1.weight", "optimizer", "", ".", "ip_adapter.-1.to_k_ip.weight", "x" * 100_000)
    extra += ("ip_adapter.99999999999999999999.to_k_ip.weight", "image_proj.norm.weight\x00", "\x1b[2Jred\nline")
    for index, name in enumerate(extra):
        yield file_of(f"with a key too many {index}", save({**weights(), name: torch.zeros(2)}), ".safetensors")
    for name in NAMES:
        group, inner = name.split(".", 1)
        twice = {**weights(), f"{group}.module.{inner}": weights()[name]}
        yield file_of(f"{name} twice", saved(nested(twice)), says="appears twice")
    flat_and_nested = {**nested(weights()), NAMES[0]: weights()[NAMES[0]]}
    yield file_of("a name both flat and nested", saved(flat_and_nested), says="appears twice")
    yield file_of("no tensors", save({}), ".safetensors", says="Missing")
    yield file_of("an empty dictionary", saved({}), says="Missing")
    yield file_of_later("thousands of blocks", _thousands_of_blocks, ".safetensors", says="and \\d+ more")


def _thousands_of_blocks() -> bytes:
    return save({f"ip_adapter.{index}.to_k_ip.weight": torch.zeros(1) for index in range(9000)})


class _Shadowed:
    """Pickles as a good adapter's dictionary with an ``items`` of its own."""

    def __reduce__(self) -> tuple[Any, ...]:
        return collections.OrderedDict, (), {"items": 5}, None, iter(nested(weights()).items())


def contents() -> Iterator[Corruption]:
    loop: dict[str, Any] = {}
    loop["loop"] = loop
    shared: dict[str, Any] = {}
    for _ in range(4):
        shared = {f"key{index}": shared for index in range(300)}
    tensor = torch.zeros(7, 6)
    tensor.detach = torch.Size  # type: ignore[method-assign, assignment]
    odd: dict[str, object] = {
        "a tensor alone": torch.zeros(3),
        "a list": [torch.zeros(3)],
        "nothing": None,
        "a number": 3.5,
        "text": "image_proj",
        "a list in it": {"image_proj": [torch.zeros(2)], "ip_adapter": {}},
        "numbers for tensors": {"image_proj": {"proj.0.weight": 1.0}, "ip_adapter": {}},
        "bytes for names": {b"image_proj": {}},
        "numbers for names": {0: torch.zeros(2)},
        "tuples for names": {("image_proj", "norm"): torch.zeros(2)},
        "half a surrogate in a name": {"image_proj": {"\ud800": torch.zeros(2)}},
        "nested too deep": {"a": {"b": {"c": {"d": {"e": {"f": torch.zeros(1)}}}}}},
        "itself in it": loop,
        "itself many times over": shared,
        "an optimizer's state": {"model": nested(weights()), "epoch": 3},
    }
    for name, content in odd.items():
        yield file_of(name, saved(content))
        yield file_of(f"{name}, legacy", saved(content, legacy=True))
    yield file_of("methods shadowed in a dictionary", saved(_Shadowed()), outcome=READ)
    tricked = {**weights(dtype=torch.float32), NAMES[0]: tensor}
    yield file_of("methods shadowed in a tensor", saved(nested(tricked)), outcome=READ)
    for value in (float("nan"), float("inf"), float("-inf")):
        for name in NAMES:
            broken = weights()
            broken[name].view(-1)[len(broken[name]) // 2] = value
            yield file_of(
                f"{value} in {name}", save(broken), ".safetensors", says=f"NaN or infinite values in '{name}'"
            )


def tensors_by_hand() -> Iterator[Corruption]:
    """Pickles whose tensors claim what their storage does not have."""
    claims = {
        "bigger than its storage": (0, (10**6,), (1,)),
        "beyond its storage": (10**9, (1,), (1,)),
        "before its storage": (-8, (1,), (1,)),
        "of negative size": (0, (-4,), (1,)),
        "with a negative stride": (0, (4,), (-1,)),
        "vast": (0, (2**62, 2**62), (1, 1)),
        "vast without strides": (0, (2**40,), (0,)),
        "with fewer strides": (0, (2, 2), (1,)),
        "of no axis": (0, (), ()),
        "sized by fractions": (0, (2.5,), (1,)),
    }
    for name, (offset, size, stride) in claims.items():
        for stored in (16, 2**40, -16):
            changed = zipped(_tensor_pickle(stored, offset, size, stride), {"archive/data/0": bytes(64)})
            yield file_of(f"a tensor {name}, {stored} stored", changed)


class _Stored(Call):
    """Stands for a storage in a pickle."""


class _Pickler(pickle.Pickler):
    def persistent_id(self, obj: object) -> Any:
        return obj.call[1][0] if isinstance(obj, _Stored) else None


def _tensor_pickle(stored: int, offset: int, size: tuple[float, ...], stride: tuple[int, ...]) -> bytes:
    storage = _Stored(print, ("storage", torch.FloatStorage, "0", "cpu", stored))
    arguments = (storage, offset, size, stride, False, collections.OrderedDict())
    buffer = io.BytesIO()
    _Pickler(buffer, 2).dump({NAMES[0]: Call(torch._utils._rebuild_tensor_v2, *arguments)})
    return buffer.getvalue()


def wrong_tensors() -> Iterator[Corruption]:
    """All of them."""
    for group in (dtypes, odd_tensors, shapes, names, contents, tensors_by_hand):
        yield from group()
