"""Vision files with something wrong, made from seeds: always the same ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from code_pickles import LIVE, live_pickle, zipped
from corrupted_bytes import flipped, saved, truncated, with_pickle, zip_regions
from corruption import DANGLING_LINK, EITHER, FOLDER, LOOPED_LINK, NOWHERE, READ, Corruption, by_name, fixed
from random_weights import SMALL, small_adapter
from safetensors.torch import save

from relation_core.adapter.adapter import RelationAdapter
from relation_core.vision.vision_file import VisionConfig, expected_vision_shapes

CONFIG = VisionConfig(
    hidden_size=8,
    intermediate_size=12,
    num_hidden_layers=1,
    num_attention_heads=2,
    image_size=28,
    patch_size=14,
)
GOOD_CONFIG: dict[str, Any] = {**vars(CONFIG), "model_type": "siglip_vision_model"}
HEAD = "vision_model.head."


@cache
def matching_adapter(folder: Path) -> RelationAdapter:
    """An adapter of the same width, written to a folder once."""
    return small_adapter(folder, replace(SMALL, vision_dim=CONFIG.hidden_size))


def weights(dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    """A small SigLIP of random weights."""
    generator = torch.Generator().manual_seed(0)
    return {
        name: (torch.randn(shape, generator=generator) / 3).to(dtype)
        for name, shape in expected_vision_shapes(CONFIG).items()
    }


def beside(
    name: str,
    content: bytes,
    suffix: str = ".safetensors",
    outcome: str = "refused",
    says: str = "",
    config: bytes | None = None,
) -> Corruption:
    """A file of these bytes beside a configuration, the right one if none is given."""
    config = json.dumps(GOOD_CONFIG).encode() if config is None else config
    return Corruption(name, suffix, fixed(content), outcome, says, config=config)


def damaged() -> Iterator[Corruption]:
    flat, packed = save(weights()), saved(weights())
    header = 8 + int.from_bytes(flat[:8], "little")
    for whole, suffix in ((flat, ".safetensors"), (packed, ".bin")):
        yield beside(f"a good {suffix}", whole, suffix, READ)
        for name, content in truncated(whole):
            yield beside(f"{suffix} {name}", content, suffix)
    for seed in range(30):
        yield beside(f"header flipped {seed}", flipped(flat, (0, header), seed), outcome=EITHER)
        yield beside(f"weights flipped {seed}", flipped(flat, (header, len(flat)), seed), outcome=EITHER)
        pickled = with_pickle(packed, lambda data, seed=seed: flipped(data, (0, len(data)), seed))
        yield beside(f"pickle flipped {seed}", pickled, ".bin", EITHER)
    for seed in range(10):
        yield beside(
            f"directory flipped {seed}", flipped(packed, zip_regions(packed)["directory"], seed), ".bin", EITHER
        )


def tensors() -> Iterator[Corruption]:
    for index, name in enumerate(weights()):
        plain = weights()[name]
        less = {key: value for key, value in weights().items() if key != name}
        yield beside(f"without {name}", save(less), says=f"Missing: .*{name}")
        turned = {**weights(), name: plain.flatten()[:-1].clone()}
        yield beside(f"{name} of another shape", save(turned), says=f"wrong shape: '{name}' is")
        empty = {**weights(), name: plain[:0].clone()}
        yield beside(f"{name} of no size", save(empty), says=f"wrong shape: '{name}' is")
        kinds = (torch.int8, torch.float64, torch.bool, torch.float8_e4m3fn, torch.complex64)
        dtype = kinds[index % len(kinds)]
        yield beside(
            f"{name} as {dtype}", save({**weights(), name: plain.to(dtype)}), says=f"{name}.*{dtype}.*expected"
        )
        broken = {**weights(), name: plain.clone()}
        broken[name].view(-1)[index % plain.numel()] = (float("nan"), float("inf"), float("-inf"))[index % 3]
        yield beside(f"{name} not finite", save(broken), says=f"NaN or infinite values in '{name}'")
    headless = {name: tensor for name, tensor in weights().items() if not name.startswith(HEAD)}
    yield beside("no head", save(headless), says="without its attention-pooling head")
    yield beside(
        "a name too many", save({**weights(), "vision_model.more": torch.zeros(1)}), says="Unknown: 'vision_model.more'"
    )
    yield beside(
        "sparse", saved({**weights(), f"{HEAD}probe": torch.zeros(1, 1, 8).to_sparse()}), ".bin", says="special kind"
    )
    whole = {
        **weights(),
        "text_model.embeddings.weight": torch.zeros(4, 4, dtype=torch.int8),
        "logit_scale": torch.zeros(()),
    }
    yield beside("a whole SigLIP with its text tower", save(whole), outcome=READ)
    for dtype in (torch.bfloat16, torch.float16):
        yield beside(f"stored as {dtype}", save(weights(dtype)), outcome=READ)
    nested = {"vision_model": {name.split(".", 1)[1]: tensor for name, tensor in weights().items()}}
    yield beside("a nested pickle", saved(nested), ".bin", READ)


def code() -> Iterator[Corruption]:
    for name in LIVE:
        yield Corruption(
            f"code by {name}", ".bin", lambda marker, name=name: zipped(live_pickle(name, marker)), live=True
        )


def configurations() -> Iterator[Corruption]:
    flat = save(weights())
    texts = {
        "nothing": b"",
        "garbage": b"{not json",
        "bytes": b"\xff\xfe\x00\x80",
        "a list": b"[1, 2]",
        "null": b"null",
        "a number": b"9" * 10_000,
        "deeply nested": b"[" * 200_000,
        "an empty object": b"{}",
        "another model": json.dumps({**GOOD_CONFIG, "model_type": "clip_vision_model"}).encode(),
        "a list for the vision part": json.dumps({**GOOD_CONFIG, "vision_config": [1]}).encode(),
        "code": b"cposix\nsystem\n(S'touch marker'\ntR.",
    }
    for name, text in texts.items():
        yield beside(f"{name} for config.json", flat, says="no usable config.json", config=text)
    values: tuple[Any, ...] = (0, -8, 2**40, 10**400, 8.0, "8", True, None, [8], {"a": 8}, float("nan"))
    for field in ("hidden_size", "num_hidden_layers", "num_attention_heads", "image_size", "patch_size"):
        for value in values:
            config = json.dumps({**GOOD_CONFIG, field: value}).encode()
            yield beside(f"{field} {str(value)[:9]!r} in config.json", flat, config=config)
    for field, value in (
        *(("layer_norm_eps", value) for value in (0.0, -1e-6, float("nan"), float("inf"), "1e-6", None, 1)),
        *(("hidden_act", value) for value in ("relu", None, ["gelu"], 3)),
        ("num_attention_heads", 3),
        ("num_channels", 4),
        ("patch_size", 28),
        ("image_size", 42),
        ("intermediate_size", 13),
        ("num_hidden_layers", 2),
    ):
        config = json.dumps({**GOOD_CONFIG, field: value}).encode()
        yield beside(f"{field} = {value} in config.json", flat, says="config.json", config=config)
    many = json.dumps({**GOOD_CONFIG, "num_hidden_layers": 257}).encode()  # whose tensors would all be listed
    yield beside("more layers than any model has", flat, says="no usable config.json", config=many)
    small = {**GOOD_CONFIG, "image_size": 7}
    no_positions = {**weights(), "vision_model.embeddings.position_embedding.weight": torch.zeros(0, 8)}
    yield beside("a picture smaller than a patch", save(no_positions), config=json.dumps(small).encode())
    within = json.dumps({"model_type": "siglip", "vision_config": GOOD_CONFIG}).encode()
    yield beside("the configuration of a whole SigLIP", flat, outcome=READ, config=within)
    yield Corruption("no config.json", ".safetensors", fixed(flat), says="no usable config.json")


def places() -> Iterator[Corruption]:
    for kind in (FOLDER, DANGLING_LINK, LOOPED_LINK, NOWHERE):
        yield Corruption(f"{kind}", ".safetensors", fixed(b""), says="expected a file", kind=kind)


def corrupted_vision() -> dict[str, Corruption]:
    """All of them by name."""
    groups = (damaged, tensors, code, configurations, places)
    return by_name(corruption for group in groups for corruption in group())
