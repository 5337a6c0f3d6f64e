"""SigLIP's vision model as a file: its sizes, and the names and shapes of its tensors."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast

import torch

from ..adapter.config import FLOAT_DTYPES
from ..errors import CheckpointError
from ..files.json_file import read_json
from ..weights.checkpoint import read_checkpoint
from ..weights.kinds import FileKind, described, quoted, recognise, shortened
from ..weights.stored_tensor import StoredTensor

VISION_ADDRESS = "https://huggingface.co/Comfy-Org/sigclip_vision_384"

_MOST_BYTES = 4 << 30
"""Of a vision model; so400m has 1.7 GB in float32."""
HEAD_PREFIX = "vision_model.head."
_IGNORED = re.compile(r"text_model\..*|logit_scale|logit_bias|vision_model\.embeddings\.position_ids")
"""Parts of a full SigLIP that the vision model does not need: its text tower and similarity scale."""


@dataclass(frozen=True)
class VisionConfig:
    """Sizes of a SigLIP vision model, under the names of its Hugging Face configuration."""

    hidden_size: int = 768
    intermediate_size: int = 3072
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    image_size: int = 224
    patch_size: int = 16
    num_channels: int = 3
    layer_norm_eps: float = 1e-6
    hidden_act: str = "gelu_pytorch_tanh"


SO400M = VisionConfig(
    hidden_size=1152,
    intermediate_size=4304,
    num_hidden_layers=27,
    num_attention_heads=16,
    image_size=384,
    patch_size=14,
)
"""google/siglip-so400m-patch14-384."""


@dataclass(frozen=True)
class VisionFile:
    """A complete vision model on disk: its sizes, and the tensors of its trunk and its pooling head."""

    path: Path
    config: VisionConfig
    trunk: Mapping[str, torch.Tensor]
    """Names as in the file, ``vision_model.*``."""
    head: Mapping[str, torch.Tensor]
    """Names as in the file, below ``vision_model.head.``."""


def open_vision(path: str | Path) -> VisionFile:
    """Read a SigLIP vision model with its pooling head.

    Its sizes come from a Hugging Face ``config.json`` beside it if that describes the file, and are those of so400m if
    the shapes match.

    Raises:
        CheckpointError: the file is damaged, is another model, lacks the head, has unknown sizes, or holds non-finite
        values (some of which attention would silently turn into zeros).
    """
    path = Path(path)
    stored, config = _stored(path)
    tensors = {name: tensor.read() for name, tensor in stored.items()}
    _check_finite(tensors, path)
    return VisionFile(
        path,
        config,
        trunk={name: tensor for name, tensor in tensors.items() if not name.startswith(HEAD_PREFIX)},
        head={name[len(HEAD_PREFIX) :]: tensor for name, tensor in tensors.items() if name.startswith(HEAD_PREFIX)},
    )


def vision_config(path: str | Path) -> VisionConfig:
    """Find the sizes of a SigLIP vision model, and check all of it but its values, by the file's header.

    Raises:
        CheckpointError: as :func:`open_vision`, but for what only values show.
    """
    return _stored(Path(path))[1]


def expected_vision_shapes(config: VisionConfig) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor of a SigLIP vision model of these sizes, by its name in the file."""
    width, hidden = config.hidden_size, config.intermediate_size
    linear = {"fc1": (hidden, width), "fc2": (width, hidden)}
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.patch_embedding.weight": (width, config.num_channels, config.patch_size, config.patch_size),
        "embeddings.patch_embedding.bias": (width,),
        "embeddings.position_embedding.weight": ((config.image_size // config.patch_size) ** 2, width),
        "head.probe": (1, 1, width),
        "head.attention.in_proj_weight": (3 * width, width),
        "head.attention.in_proj_bias": (3 * width,),
    }
    layers = [f"encoder.layers.{index}." for index in range(config.num_hidden_layers)]
    norms = ["post_layernorm", "head.layernorm", *(f"{layer}layer_norm{i}" for layer in layers for i in (1, 2))]
    matrices = {"head.attention.out_proj": (width, width)}
    for owner in ("head.", *layers):
        matrices |= {f"{owner}mlp.{name}": shape for name, shape in linear.items()}
    for layer in layers:
        matrices |= {f"{layer}self_attn.{name}_proj": (width, width) for name in ("q", "k", "v", "out")}
    for norm in norms:
        shapes |= {f"{norm}.weight": (width,), f"{norm}.bias": (width,)}
    for name, shape in matrices.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return {f"vision_model.{name}": shape for name, shape in shapes.items()}


def _stored(path: Path) -> tuple[dict[str, StoredTensor], VisionConfig]:
    checkpoint = read_checkpoint(path)
    _check_kind(checkpoint.stored, path)
    stored = {name: tensor for name, tensor in checkpoint.stored.items() if not _IGNORED.fullmatch(name)}
    _check_dtypes(stored, path)
    config = _find_config(stored, path)
    _check_size(stored, path)
    return stored, config


def _check_kind(names: Collection[str], path: Path) -> None:
    found = recognise(names)
    if found is None or found.kind is not FileKind.SIGLIP_VISION:
        raise CheckpointError(f"{path} holds {described(names)}; expected a SigLIP vision model. {_remedy()}")
    if not any(name.startswith(HEAD_PREFIX) for name in names):
        raise CheckpointError(
            f"{path} is a SigLIP vision model without its attention-pooling head (no '{HEAD_PREFIX}*' in it); the "
            f"relation is read from that head's output. Expected the whole model. {_remedy()}"
        )


def _check_dtypes(tensors: Mapping[str, StoredTensor], path: Path) -> None:
    for name, tensor in tensors.items():
        if tensor.dtype not in FLOAT_DTYPES:
            raise CheckpointError(
                f"{quoted(name)} in {path} is stored as {tensor.dtype}; expected bfloat16, float16 or float32. "
                f"{_remedy()}"
            )


def _check_size(tensors: Mapping[str, StoredTensor], path: Path) -> None:
    size = sum(tensor.nbytes for tensor in tensors.values())
    if size > _MOST_BYTES:
        raise CheckpointError(
            f"{path} has {size / 1e9:,.1f} GB of weights; expected at most {_MOST_BYTES / 1e9:,.1f} GB, as no vision "
            f"model that an adapter sees through has more. {_remedy()}"
        )


def _check_finite(tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    bad = [name for name, tensor in tensors.items() if not all(bound.isfinite() for bound in tensor.aminmax())]
    if bad:
        raise CheckpointError(
            f"{path} has NaN or infinite values in {shortened(bad)}; expected finite values only. The file is damaged: "
            f"download it again. {_remedy()}"
        )


def _find_config(tensors: Mapping[str, StoredTensor], path: Path) -> VisionConfig:
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    beside = _config_beside(path)
    for config in (beside, SO400M):
        if config is not None and expected_vision_shapes(config) == shapes:
            return config
    expected = expected_vision_shapes(beside or SO400M)
    source = "its config.json" if beside else "so400m-patch14-384 (there is no usable config.json beside the file)"
    parts = [f"{path} does not have the tensors that are expected of {source}."]
    for label, names in (("Missing", expected.keys() - shapes.keys()), ("Unknown", shapes.keys() - expected.keys())):
        if names:
            parts.append(f"{label}: {shortened(sorted(names))}.")
    wrong = [name for name in expected if name in shapes and shapes[name] != expected[name]]
    if wrong:
        compared = "; ".join(f"'{name}' is {shapes[name]} for {expected[name]}" for name in wrong[:3])
        parts.append(f"{len(wrong)} of the wrong shape: {compared}.")
    raise CheckpointError(" ".join([*parts, _remedy()]))


def config_file(path: Path) -> Path:
    """The path of a weights file's configuration, if it has one."""
    return path.with_name("config.json")


def _config_beside(path: Path) -> VisionConfig | None:
    """Read a Hugging Face configuration beside a weights file; None if there is none that describes a SigLIP."""
    file = config_file(path)
    if not file.is_file():
        return None
    try:
        content: object = read_json(file)
    except (OSError, ValueError):
        return None
    values = _mapping(content)
    values = _mapping(values.get("vision_config", values))
    if values.get("model_type") != "siglip_vision_model":
        return None
    config = VisionConfig(**{field.name: values.get(field.name, field.default) for field in fields(VisionConfig)})
    return config if _is_sound(config) else None


def _mapping(content: object) -> dict[str, Any]:
    return cast("dict[str, Any]", content) if isinstance(content, dict) else {}


def _is_sound(config: VisionConfig) -> bool:
    sizes = [value for name, value in vars(config).items() if name not in ("layer_norm_eps", "hidden_act")]
    if not all(type(size) is int and 0 < size <= 65536 for size in sizes):
        return False
    return (
        isinstance(config.layer_norm_eps, float)
        and 0.0 < config.layer_norm_eps < 1.0
        and config.hidden_size % config.num_attention_heads == 0
        and config.hidden_act == "gelu_pytorch_tanh"
        and config.num_channels == 3
        and config.num_hidden_layers <= 256
        and config.patch_size <= config.image_size
    )


def _remedy() -> str:
    return f"Use sigclip_vision_patch14_384.safetensors from {VISION_ADDRESS}."
