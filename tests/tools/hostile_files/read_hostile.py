"""Reads hostile files in a process of its own, which is watched. Run as ``python read_hostile.py COUNT FOLDER FIRST``.

COUNT is the size of the sample, ``all``, or the name of the only reader. The good files are made once, in the folder. A
sample ends with the files that are cut short while they are held.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cases import Case

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
_HELPERS = ("tests/tools/training", "tests/tools/diffusers_host", "tests/tools/evaluation", "tests/tools/dataset")


def find_helpers() -> None:
    """Put the helpers of other tests where they are found."""
    sys.path[:0] = [str(ROOT), str(HERE), *(str(ROOT / folder) for folder in _HELPERS), str(ROOT / "tests" / "core")]


def main(count: str, folder: str, first: str) -> None:
    """Read the cases, from number ``first`` on."""
    find_helpers()
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch
    from cases import chosen
    from cut_while_held import CUTS, import_libraries
    from read_corrupted import outcome_of

    from tests.watched import begin, end

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    cases, cuts = chosen(count), CUTS if count.isdecimal() else {}
    for number, case in list(enumerate(cases))[int(first) :]:
        _read(case, Path(folder), number)
    if cuts:
        import_libraries()
    for name, (try_it, _) in list(cuts.items())[max(0, int(first) - len(cases)) :]:
        place = Path(folder) / name
        place.mkdir()
        begin(name)
        end(name, *outcome_of(try_it, place))


def _read(case: Case, folder: Path, number: int) -> None:
    """Make a hostile file of a good one, and read it."""
    from damage import copied
    from read_corrupted import outcome_of

    from tests.watched import begin, end

    maker = case.reader.make.__name__  # readers of the same good files share them
    good = folder / "good" / (case.reader.name if maker in ("<lambda>", "make") else maker).replace("/", "_")
    if not good.exists():
        case.reader.make(good.with_name("unfinished"))
        good.with_name("unfinished").rename(good)
    place = folder / str(number)
    copied(good, place)
    target = place / case.reader.file
    if case.damage is not None:
        if target.stat().st_nlink > 1:
            _unlink(target)
        case.damage.apply(target, case.draw)
    begin(case.name)
    outcome, message = outcome_of(lambda _: case.reader.read(place), target)
    end(case.name, outcome, message, bool(list(place.rglob("marker"))))
    shutil.rmtree(place, ignore_errors=True)


def _unlink(path: Path) -> None:
    """Make a file of its own of one that is linked."""
    shutil.copy(path, path.with_name("copy"))
    path.with_name("copy").replace(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
