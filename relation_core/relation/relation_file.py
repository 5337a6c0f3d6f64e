"""Relation files: the tokens of the exemplar pairs, small enough to share like a LoRA."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import save  # pyright: ignore[reportUnknownVariableType] - partly untyped

from ..adapter.adapter import RelationAdapter
from ..errors import CheckpointError, ExemplarError, RelationMismatchError, printable
from ..progress import Progress, Silent
from ..weights.atomic import write_whole
from ..weights.checkpoint import read_checkpoint
from ..weights.kinds import quoted, recognise, shortened
from ..weights.library_card import BASE_MODEL, LibraryCard, card_metadata
from ..weights.safetensors_file import sorted_metadata
from .learned import Learned, learned_from_text, learned_to_text
from .limits import size_problem, value_problem
from .relation import Relation, relation_of_tokens

FORMAT, VERSION = "relation_adapter.relation", "1"

USAGE_HINT = "Choose it in Load Relation, with the adapter that it was made with, and apply it to FLUX.1-dev."


def save_relation(relation: Relation, path: str | Path, card: LibraryCard | None = None) -> None:
    """Write a relation's tokens, weights and small pictures, not its keys and values; all or nothing.

    About 2 MB a pair in bfloat16 at the released adapter's size. The same relation and card give the same bytes.

    Args:
        relation: the relation.
        path: the file.
        card: what model libraries say of it; without one, its name is its title.

    Raises:
        ExemplarError: it could not be loaded again.
        CheckpointError: the file cannot be written. An existing file of that name stays unchanged.
    """
    path = Path(path)
    weights = torch.tensor(relation.pair_weights, dtype=torch.float64)
    tensors = {
        "tokens": relation.tokens.contiguous(),
        "weights": weights,
        "thumbnails": relation.thumbnails.contiguous(),
    }
    problem = size_problem(**tensors) or value_problem(relation.tokens, relation.pair_weights)
    metadata = {"format": FORMAT, "version": VERSION, "adapter": relation.fingerprint}
    if relation.learned:
        metadata["learned"] = learned_to_text(relation.learned)
    try:
        learned_from_text(metadata.get("learned", "[]"))
    except ValueError as error:
        problem = problem or str(error)
    if problem:
        raise ExemplarError(
            f"The relation cannot be saved: {problem}. Nothing was written: encode the exemplar pairs again, or blend "
            "fewer relations."
        )
    metadata |= _library_metadata(relation, card or LibraryCard(path.stem))
    try:
        write_whole(path, sorted_metadata(save(tensors, metadata)))
    except (OSError, ValueError) as error:  # a name with a null byte or a lone surrogate is invalid
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError | ValueError) -> CheckpointError:
    """Say that a relation cannot be written, and why."""
    reason = error.strerror or str(error) if isinstance(error, OSError) else "this cannot be the name of a file"
    return CheckpointError(
        f"The relation could not be written to {printable(str(path))} ({reason}). Nothing was changed: make room, "
        "or choose another name or folder, and save again."
    )


def _library_metadata(relation: Relation, card: LibraryCard) -> dict[str, str]:
    return card_metadata(
        card,
        kind="relation",
        base_model=BASE_MODEL,
        tags="relation, image edit, learned" if relation.learned else "relation, image edit",
        usage_hint=USAGE_HINT,
        pictures=relation.thumbnails,
    )


def load_relation(
    path: str | Path, adapter: RelationAdapter, device: torch.device | str, progress: Progress | None = None
) -> Relation:
    """Read a relation and compute its keys and values, which are bit for bit those of the saved one.

    Nothing in the file is executed, and nothing is allocated before its sizes are known to fit.

    Args:
        path: a file that :func:`save_relation` wrote.
        adapter: the adapter that made it.
        device: where to compute; the result is kept on the CPU.
        progress: one step a block; it may raise to stop.

    Raises:
        CheckpointError: the file is damaged or of another kind.
        ExemplarError: its tokens are so large that keys or values are not finite.
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
    progress = progress or Silent()
    progress.start(adapter.config.blocks)
    return relation_of_tokens(
        adapter,
        contents.tokens,
        contents.pair_weights,
        contents.thumbnails,
        device,
        progress,
        contents.learned,
        printable(str(contents.path)),
    )


def relation_thumbnails(path: str | Path) -> torch.Tensor:
    """Read the small pictures of a relation file: (P, height, width, 3) uint8."""
    return _read_contents(path).thumbnails


@dataclass(frozen=True)
class _Contents:
    """The contents of a file."""

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
            f"{path} is {found}, not a relation (its format is {quoted(metadata.get('format', ''))}). Expected a file "
            "that Save Relation wrote."
        )
    made_with = metadata.get("adapter", "")
    if re.fullmatch("[0-9a-f]{16}", made_with) is None:
        raise _damaged(path, "it does not name its adapter")
    if set(tensors) != {"tokens", "weights", "thumbnails"}:
        raise _damaged(path, f"it holds {shortened(sorted(tensors))} in place of tokens, weights and thumbnails")
    problem = size_problem(tensors["tokens"], tensors["weights"], tensors["thumbnails"])
    if problem:
        raise _damaged(path, problem)
    tokens, thumbnails = tensors["tokens"].read(), tensors["thumbnails"].read()
    weights = cast("list[float]", tensors["weights"].read().tolist())  # pyright: ignore[reportUnknownMemberType]
    problem = value_problem(tokens, weights)
    if problem:
        raise _damaged(path, problem)
    try:
        learned = learned_from_text(metadata.get("learned", "[]"))
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    return _Contents(path, made_with, tokens, tuple(weights), thumbnails, learned)


def _damaged(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(
        f"{path} is a damaged relation: {reason}. Download the file again, or encode the exemplar pairs again."
    )
