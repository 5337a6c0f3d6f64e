"""What tuning learns of edits with the small model: ``python -m benchmarks.learned``.

Every figure is the share of landscapes that were not learned from whose result is right (:mod:`.landscape_edits`).
Figures are kept as they are found, by model and settings, so that a run that was ended goes on where it was. The table
is made of all that are there.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path

import torch

from relation_core.scenes.small_model import ADAPTER, AUTOENCODER, FLUX, STEPS, VISION
from relation_core.settings.bounds import COUNT
from relation_core.tuning.settings import BATCH_SIZE, LEARNING_STEPS, TuningSettings
from relation_core.weights.atomic import write_whole
from relation_tools.commands.number_option import NumberOption
from relation_tools.fingerprints import file_digest

from .landscape_edits import JUDGED_BY, NEVER_SEEN, REVERSED, TO, TRAINED, is_right, pair_of, pairs_to_learn
from .learned_engines import Engine, Headless, InComfyUI

SCENES = 24
_USUAL = 4
"""Pairs; what is learned from so many is measured first."""
_LEARNING = TuningSettings(steps=200, batch_size=8)
"""As the workflow try_it_small_tune learns."""
UNDONE_BY_KNOWN = (
    *("mirror", "flip", "turn", "invert"),
    *(f"houses_red{TO}houses_blue", f"sky_orange{TO}sky_green"),
)
"""Edits whose reverse the model was trained to draw, if not of such pictures: themselves, or another colour or turn."""
UNDONE_BY_UNKNOWN = ("night", "fog", "balloon")
"""Edits that can be undone, by what it was not trained to draw."""


@dataclass(frozen=True)
class Cell:
    """One figure of the table."""

    edit: str
    pairs: int
    learned: bool
    """Or encoded only."""


def _cells(edits: tuple[str, ...], counts: tuple[int, ...]) -> list[Cell]:
    encoded = [(_USUAL, False)]
    return [Cell(edit, *how) for edit in edits for how in (*encoded, *((count, True) for count in counts))]


PARTS: dict[str, tuple[str, list[Cell]]] = {
    "unseen": ("Edits that the model never saw", _cells(NEVER_SEEN, (1, _USUAL, 8))),
    "comfyui": ("The same, with the nodes in ComfyUI", _cells(NEVER_SEEN, (_USUAL,))),
    "trained": ("Every third named edit that the model was trained on", _cells(TRAINED[::3], (_USUAL,))),
    "reversed": (
        "Pairs the other way round, (A', A), where the model can draw the reverse",
        _cells(tuple(f"{name}{REVERSED}" for name in UNDONE_BY_KNOWN), (_USUAL,)),
    ),
    "not_drawn": (
        "The same, where it was not trained to",
        _cells(tuple(f"{name}{REVERSED}" for name in UNDONE_BY_UNKNOWN), (_USUAL,)),
    ),
}


def main() -> None:
    """Measure what is missing, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learned", description=__doc__)
    parser.add_argument("--parts", choices=PARTS, nargs="*", default=list(PARTS), help="none: print what is there")
    parser.add_argument("--pairs", type=NumberOption(COUNT), nargs="+", default=[1, _USUAL, 8], help="to learn from")
    steps, batch = _LEARNING.steps, _LEARNING.batch_size
    parser.add_argument("--steps", type=NumberOption(LEARNING_STEPS), default=steps, help="of learning (%(default)s)")
    parser.add_argument("--batch-size", type=NumberOption(BATCH_SIZE), default=batch, help="of samples (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("build/learned"), help="folder for the figures")
    options = parser.parse_args()
    settings = TuningSettings(steps=options.steps, batch_size=options.batch_size)
    kept = options.out / f"{_models()}-{settings.steps}x{settings.batch_size}"
    kept.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        engines: dict[str, Callable[[], Engine]] = {"comfyui": lambda: InComfyUI(Path(folder) / "base")}
        for part in options.parts:
            wanted = [cell for cell in PARTS[part][1] if cell.pairs in options.pairs]
            _measure(kept / f"{part}.json", wanted, engines.get(part, Headless), settings)
    learning = f"{settings.steps} steps of {settings.batch_size} samples"
    sys.stdout.write(f"Learned in {learning}; {SCENES} landscapes, {STEPS} sampling steps\n")
    for part, (title, cells) in PARTS.items():
        sys.stdout.write(f"\n{title}\n\n{_table(cells, _read(kept / f'{part}.json'))}\n")


def _models() -> str:
    """Short for the small model's files."""
    digests = "".join(file_digest(file) for file in (FLUX, ADAPTER, VISION, AUTOENCODER))
    return blake2b(digests.encode(), digest_size=4).hexdigest()


def _measure(file: Path, cells: Sequence[Cell], start: Callable[[], Engine], settings: TuningSettings) -> None:
    found = _read(file)
    missing = sorted((cell for cell in cells if cell not in found), key=lambda cell: cell.pairs != _USUAL)
    engine = start() if missing else None
    for cell in missing:
        assert engine is not None  # noqa: S101 - some are missing
        began = time.perf_counter()
        relation = engine.relation(pairs_to_learn(cell.edit, cell.pairs), settings if cell.learned else None)
        took = time.perf_counter() - began
        found[cell] = right = judge(engine, relation, cell.edit)
        sys.stderr.write(f"{time.strftime('%H:%M:%S')}  {cell}: {right:.2f} right, {took:.0f} s\n")
        rows = [{**asdict(known), "right": share} for known, share in found.items()]
        write_whole(file, json.dumps(rows, indent=1).encode())


def judge(engine: Engine, relation: object, edit: str, count: int = SCENES) -> float:
    """The share of scenes that were not learned from whose result is right."""
    indices = range(JUDGED_BY, JUDGED_BY + count)
    results = [engine.edit(relation, pair_of(edit, index)[0], index) for index in indices]
    return sum(is_right(edit, index, result) for index, result in zip(indices, results, strict=True)) / count


def _read(file: Path) -> dict[Cell, float]:
    if not file.exists():
        return {}
    rows = json.loads(file.read_text(encoding="utf-8"))
    return {Cell(row["edit"], row["pairs"], row["learned"]): row["right"] for row in rows}


def _table(cells: list[Cell], found: dict[Cell, float]) -> str:
    ways = list(dict.fromkeys((cell.pairs, cell.learned) for cell in cells))
    edits = list(dict.fromkeys(cell.edit for cell in cells))
    names = [f"{'learned from' if learned else 'encoded'} {pairs}" for pairs, learned in ways]
    lines = [f"| edit | {' | '.join(names)} |", f"| --- |{' --- |' * len(ways)}"]
    for edit in edits:
        shares = [found.get(Cell(edit, *way)) for way in ways]
        lines.append(f"| {edit} | {' | '.join('' if share is None else f'{share:.2f}' for share in shares)} |")
    means = []
    for way in ways:
        shares = [found.get(Cell(edit, *way)) for edit in edits]
        known = [share for share in shares if share is not None]
        means.append(f"{sum(known) / len(known):.2f}" if len(known) == len(edits) else "")
    return "\n".join([*lines, f"| mean | {' | '.join(means)} |"])


if __name__ == "__main__":
    main()
