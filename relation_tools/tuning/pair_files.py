"""Which picture files form the pairs that a relation is learned from."""

from __future__ import annotations

from pathlib import Path

from relation_core.errors import printable
from relation_core.relation.pairs import pair_up
from relation_core.samples.samples import TaskTable, read_samples
from relation_core.tuning.settings import TuningError

from ..picture_listing import list_pictures, warn_of_others

PairFiles = list[tuple[Path, Path]]


def find_pairs(before: list[Path], after: list[Path], dataset: Path | None, task: str | None) -> PairFiles:
    """Find the files.

    Args:
        before: pictures, or one folder.
        after: likewise; a folder's pictures have the names of the other's.
        dataset: a run-ready file in place of both.
        task: the only task of the dataset that counts; all, if it has one.

    Raises:
        TuningError: there are none, or they do not form pairs.
        ExemplarError: there are not as many before as after.
        DatasetError: the dataset cannot be read.
    """
    if (dataset is not None) == bool(before or after):
        raise TuningError(
            "Got no pairs, or pairs twice; expected --before and --after, or --dataset. Give one of the two."
        )
    if dataset is not None:
        return _of_dataset(dataset, task)
    if len(before) == len(after) == 1 and before[0].is_dir() and after[0].is_dir():
        return _of_folders(before[0], after[0])
    return pair_up(before, after)


def _of_folders(before: Path, after: Path) -> PairFiles:
    try:
        listings = [list_pictures(folder) for folder in (before, after)]
    except OSError as error:
        raise TuningError(f"Cannot look into a folder of pairs: {error}. Check its rights.") from error
    for listing, folder in zip(listings, (before, after), strict=True):
        warn_of_others(listing.others, folder)
    found, others = ({path.name: path for path in listing.pictures} for listing in listings)
    alone = sorted(found.keys() ^ others.keys())
    if alone or not found:
        what = f"'{printable(alone[0])}' is in one of them only" if alone else "they hold no pictures"
        raise TuningError(
            f"The folders {before} and {after} do not form pairs: {what}. Expected pictures of the same names in both."
        )
    return [(found[name], others[name]) for name in sorted(found)]


def _of_dataset(file: Path, task: str | None) -> PairFiles:
    table = TaskTable(file)
    tasks = [(table.task(sample).name, sample) for sample in read_samples(file)]
    names = sorted({name for name, _ in tasks})
    if task is None and len(names) == 1:
        task = names[0]
    if task not in names:
        raise TuningError(
            f"{file} has the tasks {', '.join(names) or '(none)'}; a relation is learned from one of them. Name one "
            "with --task."
        )
    pairs = dict.fromkeys(
        pair
        for name, sample in tasks
        if name == task
        for pair in ((sample.source, sample.target), (sample.cond1, sample.cond2))
    )
    return [(file.parent / before, file.parent / after) for before, after in pairs]
