"""Relations as files: the tokens of the exemplar pairs, small enough to share as a LoRA is shared."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import save_file  # pyright: ignore[reportUnknownVariableType] - partly untyped

from ..adapter.adapter import RelationAdapter
from ..adapter.config import FLOAT_DTYPES
from ..errors import CheckpointError, RelationMismatchError
from ..progress import Progress, Silent
from ..weights.atomic import appearing
from ..weights.checkpoint import read_checkpoint
from ..weights.kinds import recognise, shortened
from .learned import Learned, learned_from_text, learned_to_text
from .relation import Relation, check_weight, relation_of_tokens

FORMAT, VERSION = "relation_adapter.relation", "1"
MAX_PAIRS = 64
MAX_THUMBNAIL_SIDE = 1024


def save_relation(relation: Relation, path: str | Path) -> None:
    """Write a relation's tokens, weights and small pictures, not its keys and values; all or nothing.

    About 2 MB a pair in bfloat16 at the released adapter's size.
    """
    path = Path(path)
    tensors = {
        "tokens": relation.tokens.contiguous(),
        "weights": torch.tensor(relation.pair_weights, dtype=torch.float64),
        "thumbnails": relation.thumbnails.contiguous(),
    }
    metadata = {"format": FORMAT, "version": VERSION, "adapter": relation.fingerprint}
    if relation.learned:
        metadata["learned"] = learned_to_text(relation.learned)
    with appearing(path) as unfinished:
        save_file(tensors, unfinished, metadata)


def load_relation(
    path: str | Path, adapter: RelationAdapter, device: torch.device | str, progress: Progress | None = None
) -> Relation:
    """Read a relation and compute its keys and values, bit for bit those it was saved with.

    Nothing in the file is executed, and nothing is allocated before its sizes are known to fit.

    Args:
        path: a file that :func:`save_relation` wrote.
        adapter: the adapter that made it.
        device: where to compute; the result is kept on the CPU.
        progress: one step a block; it may raise to stop.

    Raises:
        CheckpointError: the file is damaged or of another kind.
        RelationMismatchError: it was made with another adapter.
    """
    contents = _read_contents(path)
    if contents.made_with != adapter.fingerprint:
        raise RelationMismatchError(
            f"The relation {contents.path.name} was made with the adapter {contents.made_with}; this is the adapter "
            f"{adapter.fingerprint} ({adapter.path.name}). Load the adapter that it was made with, or encode the "
            "exemplar pairs again."
        )
    expected = (2 * adapter.config.tokens, adapter.config.text_dim)
    if contents.tokens.shape[1:] != expected:
        raise _damaged(contents.path, f"its tokens are {tuple(contents.tokens.shape[1:])} a pair, not {expected}")
    tokens, thumbnails = contents.tokens.clone(), contents.thumbnails.clone()
    progress = progress or Silent()
    progress.start(adapter.config.blocks)
    return relation_of_tokens(adapter, tokens, contents.pair_weights, thumbnails, device, progress, contents.learned)


def relation_thumbnails(path: str | Path) -> torch.Tensor:
    """Read the small pictures of a relation file: (P, height, width, 3) uint8."""
    return _read_contents(path).thumbnails.clone()


def relation_origins(path: str | Path) -> tuple[Learned, ...]:
    """Read how a relation file's tokens were learned; nothing if they were encoded."""
    return _read_contents(path).learned


@dataclass(frozen=True)
class _Contents:
    """What a file holds, still mapped."""

    path: Path
    made_with: str
    tokens: torch.Tensor
    pair_weights: tuple[float, ...]
    thumbnails: torch.Tensor
    learned: tuple[Learned, ...]


def _read_contents(path: str | Path) -> _Contents:
    checkpoint = read_checkpoint(path)
    path, metadata, tensors = checkpoint.path, checkpoint.metadata, checkpoint.stored
    if metadata.get("format") != FORMAT or metadata.get("version") != VERSION:
        recognised = recognise(tensors)
        found = "something else" if recognised is None else recognised.kind
        raise CheckpointError(
            f"{path} is {found}, not a relation (its format is '{metadata.get('format', '')[:40]}'). Expected a file "
            "that Save Relation wrote."
        )
    made_with = metadata.get("adapter", "")
    if re.fullmatch("[0-9a-f]{16}", made_with) is None:
        raise _damaged(path, "it does not name its adapter")
    if set(tensors) != {"tokens", "weights", "thumbnails"}:
        raise _damaged(path, f"it holds {shortened(sorted(tensors))} in place of tokens, weights and thumbnails")
    tokens, weights, thumbnails = tensors["tokens"], tensors["weights"], tensors["thumbnails"]
    pairs = tokens.shape[0] if tokens.ndim == 3 else 0
    if tokens.dtype not in FLOAT_DTYPES or not 1 <= pairs <= MAX_PAIRS:
        raise _damaged(path, f"its tokens are {tokens.dtype} of shape {tuple(tokens.shape)}")
    if weights.dtype != torch.float64 or weights.shape != (pairs,):
        raise _damaged(path, f"its weights are {weights.dtype} of shape {tuple(weights.shape)}")
    sides = thumbnails.shape[1:3]
    if thumbnails.dtype != torch.uint8 or thumbnails.shape != (pairs, *sides, 3) or max(sides) > MAX_THUMBNAIL_SIDE:
        raise _damaged(path, f"its pictures are {thumbnails.dtype} of shape {tuple(thumbnails.shape)}")
    tokens, weights, thumbnails = tokens.read(), weights.read(), thumbnails.read()
    if not bool(tokens.isfinite().all()):
        raise _damaged(path, "its tokens are not all finite")
    values = cast("list[float]", weights.tolist())  # pyright: ignore[reportUnknownMemberType] - untyped
    for weight in values:
        check_weight(weight)
    try:
        learned = learned_from_text(metadata.get("learned", "[]"))
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    return _Contents(path, made_with, tokens, tuple(values), thumbnails, learned)


def _damaged(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(
        f"{path} is a damaged relation: {reason}. Get the file again, or encode the exemplar pairs again."
    )
