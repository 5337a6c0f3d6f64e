"""LoRA files in all their layouts, added to the transformer's weights.

The change is ``strength * (alpha / rank) * up @ down`` (arXiv 2106.09685, section 4.1), or what DoRA makes of it (arXiv
2402.09353, equation 5). A file that holds anything else is refused, and the error names it: a part of a LoRA is another
LoRA.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from relation_core.errors import CheckpointError, ModelMismatchError
from relation_core.files.json_file import parse_json
from relation_core.weights.checkpoint import read_checkpoint
from relation_core.weights.kinds import FileKind, described, quoted, recognise, shortened
from relation_core.weights.stored_tensor import StoredTensor

from .lora_names import Place, matrix_shapes, places
from .quantisation import is_quantised
from .strict_load import checked

_PARTS = (
    ("down", r"(\.lora_A(\.default)?|\.lora_down|[._]lora\.down|\.lora_linear_layer\.down)(\.weight)?"),
    ("up", r"(\.lora_B(\.default)?|\.lora_up|[._]lora\.up|\.lora_linear_layer\.up)(\.weight)?"),
    ("alpha", r"\.alpha"),
    ("magnitude", r"\.lora_magnitude_vector(\.default)?(\.weight)?"),
    ("dora_scale", r"\.dora_scale"),
)
_TEXT = re.compile(r"(text_encoder|lora_te|text_encoders|te\d?[._])")
_METADATA = "lora_adapter_metadata"
"""Where diffusers keeps the settings of a LoRA, as JSON."""
_MOST_RANK = 1024
"""What a small matrix is given more of than it has rows and columns."""
_UNKNOWN = ("use_bdlora", "use_qalora", "alora_invocation_tokens", "layer_replication", "fan_in_fan_out")
"""Settings that are not supported when they are on."""


@dataclass(frozen=True)
class LoraFile:
    """A LoRA on disk, of which nothing is read yet."""

    path: Path
    modules: Mapping[str, Mapping[str, StoredTensor]]
    """For every matrix, by its name in the file: down, up, alpha, magnitude and dora_scale."""
    settings: Mapping[str, Any]
    """PEFT's settings for the transformer, from the file's metadata; empty if there are none."""


def read_lora(path: Path) -> LoraFile:
    """Find the parts of a LoRA. Its part for the text encoders is left out.

    Raises:
        CheckpointError: the file is no LoRA, or one of a kind that is not known.
    """
    checkpoint = read_checkpoint(path)
    kind = recognise(checkpoint.stored)
    if kind is None or kind[0] is not FileKind.LORA:
        raise CheckpointError(f"{path} holds {described(checkpoint.stored)}; expected a LoRA for FLUX.1.")
    modules: dict[str, dict[str, StoredTensor]] = {}
    unknown: list[str] = []
    for name, tensor in checkpoint.stored.items():
        if _TEXT.match(name):
            continue
        found = _part(name)
        if found is None or found[1] in modules.get(found[0], {}):
            unknown.append(name)
        else:
            modules.setdefault(found[0], {})[found[1]] = tensor
    unknown += [name for name, parts in modules.items() if not {"down", "up"} <= parts.keys()]
    if unknown or not modules:
        raise CheckpointError(
            f"{path} holds more than a plain LoRA or DoRA for the transformer, {shortened(sorted(unknown), 3)}; "
            "expected a pair of matrices, and an alpha, for each matrix that it changes. LoKr, LoHa, biases and whole "
            "differences are not read here: load the file in ComfyUI, or merge it into the model first."
        )
    return LoraFile(path, modules, _settings(path, checkpoint.metadata))


def _part(name: str) -> tuple[str, str] | None:
    """Split a tensor's name into the matrix's and the part's."""
    for part, pattern in _PARTS:
        found = re.fullmatch(rf"(.+?){pattern}", name)
        if found:
            return found[1], part
    return None


def _settings(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    if _METADATA not in metadata:
        return {}
    try:
        read: Any = parse_json(metadata[_METADATA])
    except ValueError:
        read = None
    if not isinstance(read, dict):
        raise CheckpointError(
            f"{path} has settings in its metadata ('{_METADATA}') that are not valid JSON. Download it again."
        )
    settings: dict[str, Any] = {
        name.removeprefix("transformer."): value
        for name, value in cast("dict[str, Any]", read).items()
        if name.startswith("transformer.")
    }
    strange = [name for name in _UNKNOWN if settings.get(name)]
    if strange:
        raise CheckpointError(f"{path} is a LoRA with {', '.join(strange)}, which is not supported. Use a plain one.")
    return settings


def fuse_lora(transformer: Any, lora: LoraFile, strength: float) -> None:
    """Fuse a LoRA into the transformer's weights.

    Args:
        transformer: the transformer (a ``FluxTransformer2DModel``).
        lora: from :func:`read_lora`.
        strength: factor of the LoRA.

    Raises:
        CheckpointError: its alpha is no number.
        ModelMismatchError: it is for another transformer, or that is quantised.
    """
    if is_quantised(transformer):
        raise ModelMismatchError(
            f"{lora.path} cannot be fused into a quantised transformer; expected one in floating-point numbers. Put "
            "the LoRA beside it."
        )
    check_fits(transformer, lora)
    known, weights = places(transformer), transformer.state_dict()
    with torch.no_grad():
        for name, stored in lora.modules.items():
            parts = read_parts(lora, name, stored)
            targets = [weights[f"{rows.weight}.weight"][rows.start : rows.stop] for rows in known[name]]
            before = torch.cat([target.float() for target in targets])
            change = _changed(before, parts, lora_scale(lora, name, parts)).sub_(before).mul_(strength)
            start = 0
            for target in targets:
                target.copy_(target.float() + change[start : start + len(target)])
                start += len(target)


def check_fits(transformer: Any, lora: LoraFile) -> dict[str, tuple[int, int]]:
    """Find the shapes of the transformer's matrices.

    Raises:
        ModelMismatchError: the LoRA is for another transformer.
    """
    known, shapes = places(transformer), matrix_shapes(transformer)
    unplaced = [name for name, parts in lora.modules.items() if not fits(parts, known.get(name), shapes)]
    if unplaced:
        raise ModelMismatchError(
            f"{lora.path} does not fit the transformer: {len(unplaced)} of its {len(lora.modules)} matrices have no "
            f"place there, such as {shortened(unplaced, 2)}; expected a LoRA for a FLUX.1 of the same sizes. Use the "
            "one that the adapter was released with, pytorch_lora_weights.safetensors."
        )
    return shapes


def read_parts(lora: LoraFile, name: str, stored: Mapping[str, StoredTensor]) -> dict[str, torch.Tensor]:
    """Read the parts of one matrix of a LoRA.

    Raises:
        CheckpointError: some of their values are not finite.
    """
    parts = {part: tensor.read() for part, tensor in stored.items()}
    checked({f"{name}.{part}": tensor for part, tensor in parts.items()}, lora.path)
    return parts


def fits(parts: Mapping[str, StoredTensor], place: Place | None, shapes: Mapping[str, tuple[int, int]]) -> bool:
    """Whether the parts of a matrix have the shapes of its place among the transformer's matrices."""
    down, up = parts["down"], parts["up"]
    if place is None or down.ndim != 2 or up.ndim != 2 or down.shape[0] != up.shape[1]:
        return False
    height = sum(rows.stop - rows.start for rows in place)
    width = shapes[place[0].weight][1]
    if not 0 < down.shape[0] <= max(height, width, _MOST_RANK):
        return False
    lengths = {"magnitude": height, "dora_scale": max(height, width), "alpha": 1}
    for part, most in lengths.items():
        if part in parts and not 0 < parts[part].numel() <= most:
            return False
    if "dora_scale" in parts and parts["dora_scale"].shape not in ((height, 1), (1, width), (height,)):
        return False
    return (up.shape[0], down.shape[1]) == (height, width)


def lora_scale(lora: LoraFile, name: str, parts: Mapping[str, torch.Tensor]) -> float:
    """Find the factor of a matrix's ``up @ down``: its alpha, from the file or its metadata, over its rank.

    Raises:
        CheckpointError: the alpha is no finite number.
    """
    rank = parts["down"].shape[0]
    if "alpha" in parts:
        scale = float(parts["alpha"].float().reshape(-1)[0]) / rank
    elif lora.settings:
        scale = _alpha(lora.settings, name, rank) / (math.sqrt(rank) if lora.settings.get("use_rslora") else rank)
    else:
        scale = 1.0
    if not math.isfinite(scale):
        raise CheckpointError(
            f"{lora.path} has an alpha for {quoted(name)} that is not a finite number. Download it again."
        )
    return scale


def _alpha(settings: Mapping[str, Any], name: str, rank: int) -> float:
    """Find a matrix's alpha in PEFT's settings; not a number where they hold none."""
    module = re.sub(r"^(transformer|diffusion_model|base_model\.model)\.", "", name)
    patterns: Any = settings.get("alpha_pattern")
    alpha: Any = settings.get("lora_alpha", rank)
    for pattern, value in cast("dict[str, Any]", patterns).items() if isinstance(patterns, dict) else ():
        plain = re.escape(pattern.removeprefix("^").removeprefix("transformer."))
        if re.fullmatch(rf"{'' if pattern.startswith('^') else '(.*[.])?'}{plain}", module):
            alpha = value
            break
    return float(alpha) if type(alpha) in (int, float) and abs(alpha) <= sys.float_info.max else math.nan


def _changed(weight: torch.Tensor, parts: Mapping[str, torch.Tensor], scale: float) -> torch.Tensor:
    """The matrix with the LoRA at strength 1, float32."""
    changed = torch.addmm(weight, parts["up"].float(), parts["down"].float(), alpha=scale)
    if "magnitude" in parts:  # as PEFT has it
        return changed * (parts["magnitude"].float().reshape(-1, 1) / _norm(changed, 1))
    if "dora_scale" not in parts:
        return changed
    magnitude, epsilon = parts["dora_scale"].float(), torch.finfo(torch.float32).eps
    if magnitude.shape[0] == weight.shape[0]:  # as ComfyUI has it: with the norm of the weights from before
        return changed * (magnitude.reshape(-1, 1) / (_norm(weight, 1) + epsilon))
    return changed * (magnitude / (_norm(changed, 0) + epsilon))


def _norm(weight: torch.Tensor, axis: int) -> torch.Tensor:
    return weight.square().sum(axis, keepdim=True).sqrt()
