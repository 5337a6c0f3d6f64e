"""Recognise a weights file, and check whether it fits FLUX.1-dev."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from relation_core.adapter.adapter import RelationAdapter, open_adapter
from relation_core.adapter.config import RelationConfig
from relation_core.errors import CheckpointError, printable
from relation_core.relation.relation_file import FORMAT as RELATION_FORMAT
from relation_core.relation.relation_file import relation_thumbnails
from relation_core.vision.vision_file import SO400M, open_vision
from relation_core.weights.checkpoint import Checkpoint, read_checkpoint
from relation_core.weights.kinds import FileKind, recognise
from relation_core.weights.stored_tensor import StoredTensor

RELEASED = RelationConfig(
    blocks=57, heads=24, head_dim=128, tokens=128, text_dim=4096, vision_dim=1152, projection_dim=2304
)
"""The released adapter, for FLUX.1-dev."""


def inspect_file(path: Path) -> list[str]:
    """Describe an adapter, a SigLIP vision model or a saved relation in some lines, fit to be shown.

    Raises:
        CheckpointError: the file is none of these, is damaged, or does not fit FLUX.1-dev; the message says which.
    """
    checkpoint = read_checkpoint(path)
    found = recognise(checkpoint.stored)
    if checkpoint.metadata.get("format") == RELATION_FORMAT:
        lines = _relation(checkpoint)
    elif found is not None and found.kind is FileKind.SIGLIP_VISION:
        lines = _vision(path)
    else:
        lines = _adapter(open_adapter(path))
    return [printable(line) for line in (f"{path}", *_contents(checkpoint), *lines)]


def _contents(checkpoint: Checkpoint) -> list[str]:
    tensors = checkpoint.stored
    lines = [
        f"size         {checkpoint.path.stat().st_size / 1e9:.3f} GB on disk",
        f"tensors      {len(tensors)}, {sum(tensor.numel() for tensor in tensors.values()):,} values in "
        f"{_dtypes(tensors)}",
    ]
    if checkpoint.metadata:
        lines.append("metadata     " + ", ".join(f"{k}={v}"[:100] for k, v in sorted(checkpoint.metadata.items())))
    return lines


def _dtypes(tensors: Mapping[str, StoredTensor]) -> str:
    return ", ".join(sorted({str(tensor.dtype).removeprefix("torch.") for tensor in tensors.values()}))


def _adapter(adapter: RelationAdapter) -> list[str]:
    config = adapter.config
    if any(getattr(config, size) != getattr(RELEASED, size) for size in ("blocks", "heads", "head_dim", "text_dim")):
        raise CheckpointError(
            f"{adapter.path} is a RelationAdapter, but not for FLUX.1-dev: it has {_sizes(config)}, and FLUX.1-dev "
            f"needs {_sizes(RELEASED)}. Use it with the model that it was trained for."
        )
    return [
        "kind         a RelationAdapter",
        f"sizes        {_sizes(config)}",
        f"exemplars    {config.tokens} tokens a picture, from vision features of width {config.vision_dim}",
        f"fingerprint  {adapter.fingerprint}",
        "It fits FLUX.1-dev.",
    ]


def _sizes(config: RelationConfig) -> str:
    return f"{config.blocks} blocks, {config.heads} heads of {config.head_dim}, text width {config.text_dim}"


def _relation(checkpoint: Checkpoint) -> list[str]:
    pairs = len(relation_thumbnails(checkpoint.path))  # which checks the whole file
    width = checkpoint.stored["tokens"].shape[-1]
    if width != RELEASED.text_dim:
        raise CheckpointError(
            f"{checkpoint.path} is a relation, but its tokens are {width} wide and those of an adapter for FLUX.1-dev "
            f"{RELEASED.text_dim}. Use it with the adapter that it was made with, {checkpoint.metadata['adapter']}."
        )
    return [
        f"kind         a relation of {pairs} exemplar {'pair' if pairs == 1 else 'pairs'}",
        f"adapter      {checkpoint.metadata['adapter']}: it can be used with this one only",
        "It fits FLUX.1-dev.",
    ]


def _vision(path: Path) -> list[str]:
    file = open_vision(path)
    config = file.config
    sizes = (
        f"{config.num_hidden_layers} layers of width {config.hidden_size}, pictures of {config.image_size} pixels in "
        f"patches of {config.patch_size}"
    )
    if config.hidden_size != RELEASED.vision_dim:
        raise CheckpointError(
            f"{path} is a SigLIP vision model ({sizes}), but its width is {config.hidden_size}; the released adapter "
            f"for FLUX.1-dev expects {RELEASED.vision_dim}. Use sigclip_vision_patch14_384.safetensors."
        )
    usual = "" if config == SO400M else " (of other sizes than so400m-patch14-384, but of the same width)"
    return [
        "kind         a SigLIP vision model with its pooling head",
        f"sizes        {sizes}",
        f"It fits the released adapter for FLUX.1-dev{usual}.",
    ]
