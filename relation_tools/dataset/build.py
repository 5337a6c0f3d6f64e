"""From a paired dataset to a run-ready one (paper, section 3.4; the authors' script for it is not published)."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from relation_core.errors import DatasetError
from relation_core.progress import Progress
from relation_core.weights.lock import alone_in

from .names import UniqueNames
from .opened import OpenedDataset, open_dataset
from .options import BuildOptions, BuildSummary
from .pair_entry import PairEntry
from .problems import Problem
from .publishing import SUMMARY, publish
from .splitting import Divide, Folders, Outcome, SplitJob, split_all
from .unseen_tasks import choose_tasks

PICTURES = "pictures"
UNPACKED = Path(".build", "unpacked")


def build(
    pairs: Path,
    out: Path,
    options: BuildOptions,
    categories: dict[str, str],
    processes: int,
    progress: Progress,
    divide: Divide | None = None,
) -> BuildSummary:
    """Make ``out`` a run-ready dataset of the paired dataset ``pairs``.

    The result depends on the dataset's content and the options alone. After a kill, the same call resumes;
    ``build.json`` is written last.

    Args:
        pairs: a folder or file in any of the known layouts (:func:`open_dataset`).
        out: a folder; it is made if need be.
        options: how samples are drawn.
        categories: of tasks, by their name; written to ``tasks.json`` for the evaluation's tables.
        processes: how many split pictures at the same time.
        progress: told of every picture.
        divide: has pictures split by other machines, in place of ``processes``.

    Raises:
        DatasetError: nothing in ``pairs`` can be used, or ``out`` cannot be written.
        BusyError: another process builds there.
    """
    _prepare(pairs, out)
    with alone_in(out, "building a dataset in"):
        return _build(pairs, out, options, categories, processes, progress, divide)


def _build(
    pairs: Path,
    out: Path,
    options: BuildOptions,
    categories: dict[str, str],
    processes: int,
    progress: Progress,
    divide: Divide | None,
) -> BuildSummary:
    root, entries, problems = _read(pairs, out)
    counts = Counter(entry.task for entry in entries)
    choose_tasks(counts, options.hold_out_tasks, options.test_pairs, options.seed)  # a wrong name is told at once
    (out / SUMMARY).unlink(missing_ok=True)
    outcomes = split_all(_jobs(entries), Folders(root, out), processes, progress, divide)
    kept = list(_usable(entries, outcomes, problems))
    if not kept:
        raise DatasetError(
            f"None of the {len(entries) + len(problems)} entries of '{pairs}' can be used. "
            + (f"The first problem: {problems[0].where}: {problems[0].reason}." if problems else "")
        )
    return publish(kept, problems, out, options, categories)


def _prepare(pairs: Path, out: Path) -> None:
    folder = pairs.parent if pairs.is_file() else pairs
    if os.path.realpath(out) == os.path.realpath(folder):  # Path.resolve fails at a link to itself
        raise DatasetError(f"'{out}' is the paired dataset itself. Choose another folder for the result.")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(f"Cannot write to '{out}': {error}. Choose a writable folder.") from error


def _read(pairs: Path, out: Path) -> tuple[Path, list[PairEntry], list[Problem]]:
    """Give what pictures' paths are relative to, and the entries; the lists of all files are not kept for longer."""
    dataset = open_dataset(pairs, out, out / UNPACKED)
    return dataset.root, *_collect(dataset)


def _collect(dataset: OpenedDataset) -> tuple[list[PairEntry], list[Problem]]:
    entries: list[PairEntry] = []
    problems: list[Problem] = []
    first: dict[tuple[str, str], str] = {}
    for found in dataset.entries():
        if isinstance(found, Problem):
            problems.append(found)
            continue
        pictures = found.picture, found.after
        if pictures in first:
            what = "these pictures were" if found.after else "this picture was"
            reason = f"{what} listed before, at {first[pictures]}"
            problems.append(Problem("duplicate", found.where, found.picture, reason))
        else:
            first[pictures] = found.where
            entries.append(found)
    named = {problem.picture for problem in problems}.union(*first)
    problems.extend(dataset.unlisted(named))
    return entries, problems


def _jobs(entries: Sequence[PairEntry]) -> list[SplitJob]:
    folder_names, folders = UniqueNames(), dict[str, str]()
    names: dict[str, UniqueNames] = {}
    jobs: list[SplitJob] = []
    for entry in entries:
        if entry.task not in folders:
            folders[entry.task] = folder_names.give(entry.task)
            names[entry.task] = UniqueNames()
        stem = names[entry.task].give(entry.name or Path(entry.picture).stem)
        jobs.append(SplitJob(entry.picture, f"{PICTURES}/{folders[entry.task]}/{stem}", entry.after))
    return jobs


def _usable(
    entries: Sequence[PairEntry], outcomes: Sequence[Outcome], problems: list[Problem]
) -> Iterator[tuple[PairEntry, Outcome]]:
    """Yield the pictures that samples can be drawn from; list the others, and remarks."""
    first: dict[tuple[str, tuple[str, str]], str] = {}
    for entry, outcome in zip(entries, outcomes, strict=True):
        if outcome.error:
            problems.append(Problem("broken", entry.where, entry.picture, outcome.error))
            continue
        original = first.setdefault((entry.task, outcome.digests), entry.picture)
        if original != entry.picture:
            reason = f"its pixels are those of '{original}' of the same task"
            problems.append(Problem("duplicate", entry.where, entry.picture, reason))
            continue
        problems.extend(Problem("note", entry.where, entry.picture, note) for note in outcome.notes)
        yield entry, outcome
