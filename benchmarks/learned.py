"""What tuning learns of edits with the model of drawn scenes: ``python -m benchmarks.learned``.

Every figure is the share of scenes that were not learned from whose result is right (:mod:`.edits_to_learn`). Figures
are kept as they are found, so that a run that was ended goes on where it was. The table is made of all that are there.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from relation_core.settings.bounds import COUNT
from relation_core.tuning.settings import TuningSettings
from relation_core.weights.atomic import write_whole
from relation_tools.commands.number_option import NumberOption
from relation_tools.drawn_scenes.relations import TRAINED
from relation_tools.drawn_scenes.unseen import UNSEEN

from .edits_to_learn import JUDGED_BY, REVERSED, TO, is_right, pair_of, pairs_to_learn
from .learned_engines import Engine, Headless, InComfyUI

SCENES = 24
_USUAL = 4
"""Pairs; what is learned from so many is measured first."""
UNDONE_BY_KNOWN = (
    *("mirror", "flip", "invert"),
    *(f"recolour_red{TO}recolour_blue", f"background_yellow{TO}background_green", f"shape_star{TO}shape_cross"),
)
"""Edits whose reverse the model was trained to draw, if not of such pictures: themselves, or another colour."""
UNDONE_BY_UNKNOWN = ("rotate", "darken", "grow", "blur", "dim_lower_half", "add_frame")
"""Edits that can be undone, by what it was not trained to draw."""
_MANY = 64
"""Pairs that leave no doubt about what is asked for."""


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
    "unseen": ("Edits that the model never saw", _cells(tuple(edit.name for edit in UNSEEN), (1, _USUAL, 8))),
    "comfyui": ("The same, with the nodes in ComfyUI", _cells(tuple(edit.name for edit in UNSEEN), (_USUAL,))),
    "reversed": (
        "Pairs the other way round, (A', A), where the model can draw the reverse",
        _cells(tuple(f"{name}{REVERSED}" for name in UNDONE_BY_KNOWN), (_USUAL,)),
    ),
    "not_drawn": (
        "The same, where it was not trained to",
        _cells(tuple(f"{name}{REVERSED}" for name in UNDONE_BY_UNKNOWN), (_USUAL, _MANY)),
    ),
    "trained": (
        "Edits that the model was trained on",
        _cells(tuple(edit.name for edit in TRAINED), (_USUAL,)),
    ),
}


def main() -> None:
    """Measure what is missing, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learned", description=__doc__)
    parser.add_argument("--parts", choices=PARTS, nargs="*", default=list(PARTS), help="none: print what is there")
    parser.add_argument(
        "--pairs",
        type=NumberOption(COUNT),
        nargs="+",
        default=[1, _USUAL, 8, _MANY],
        help="how many pairs to learn from",
    )
    parser.add_argument("--out", type=Path, default=Path("build/learned"), help="folder for the figures")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        engines: dict[str, Callable[[], Engine]] = {"comfyui": lambda: InComfyUI(Path(folder) / "base")}
        for part in options.parts:
            wanted = [cell for cell in PARTS[part][1] if cell.pairs in options.pairs]
            _measure(options.out / f"{part}.json", wanted, engines.get(part, Headless))
    for part, (title, cells) in PARTS.items():
        sys.stdout.write(f"\n{title}\n\n{_table(cells, _read(options.out / f'{part}.json'))}\n")


def _measure(file: Path, cells: list[Cell], start: Callable[[], Engine]) -> None:
    found = _read(file)
    missing = sorted((cell for cell in cells if cell not in found), key=lambda cell: cell.pairs != _USUAL)
    engine = start() if missing else None
    for cell in missing:
        assert engine is not None  # noqa: S101 - some are missing
        began = time.perf_counter()
        relation = engine.relation(pairs_to_learn(cell.edit, cell.pairs), TuningSettings() if cell.learned else None)
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
