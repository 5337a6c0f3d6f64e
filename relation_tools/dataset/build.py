"""From a paired dataset to a run-ready one (paper, section 3.4; the authors' script for it is not published)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from relation_core.errors import DatasetError
from relation_core.files.json_file import json_text
from relation_core.progress import Progress
from relation_core.samples.samples import PROBLEMS, TASKS
from relation_core.settings.bounds import COUNT, COUNT_OR_NONE, SEED, check_settings
from relation_core.weights.atomic import appearing_text
from relation_core.weights.lock import alone_in

from .hold_out import Contents, hold_out
from .names import UniqueNames
from .opened import OpenedDataset, open_dataset
from .pair_entry import PairEntry
from .problems import Problem
from .rotation import rotation, shuffled
from .splitting import Folders, Outcome, SplitJob, split_all

PICTURES = "pictures"
UNPACKED = Path(".build", "unpacked")
TRAIN, TEST, SUMMARY = "train.jsonl", "test.jsonl", "build.json"


@dataclass(frozen=True)
class BuildOptions:
    """Options for drawing samples; the defaults are the numbers in the name of the authors' script."""

    per_task: Annotated[int, COUNT] = 2000
    """Most training samples of a task."""
    test_pairs: Annotated[int, COUNT_OR_NONE] = 5
    """Pictures of a task that are held out; their ordered pairs make the test file."""
    seed: Annotated[int, SEED] = 0

    def __post_init__(self) -> None:
        check_settings(self, DatasetError)
        if self.test_pairs == 1:
            raise DatasetError(
                "Got test_pairs = 1; expected 0 for no test pictures, or at least 2, which make a pair. Change it."
            )


@dataclass(frozen=True)
class BuildSummary:
    """The result of a build."""

    pictures: int
    tasks: int
    train_samples: int
    test_samples: int
    broken: int
    duplicates: int
    notes: int


@dataclass(frozen=True, slots=True)
class _Pair:
    entry: PairEntry
    outcome: Outcome


def build(
    pairs: Path, out: Path, options: BuildOptions, categories: dict[str, str], processes: int, progress: Progress
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

    Raises:
        DatasetError: nothing in ``pairs`` can be used, or ``out`` cannot be written.
        BusyError: another process builds there.
    """
    _prepare(pairs, out)
    with alone_in(out, "building a dataset in"):
        dataset = open_dataset(pairs, out, out / UNPACKED)
        return _build(pairs, dataset, Folders(dataset.root, out), options, categories, processes, progress)


def _build(
    pairs: Path,
    dataset: OpenedDataset,
    folders: Folders,
    options: BuildOptions,
    categories: dict[str, str],
    processes: int,
    progress: Progress,
) -> BuildSummary:
    (folders.out / SUMMARY).unlink(missing_ok=True)
    entries, problems = _collect(dataset)
    jobs = _jobs(entries)
    outcomes = split_all(jobs, folders, processes, progress)
    kept = list(_usable(entries, outcomes, problems))
    if not kept:
        raise DatasetError(
            f"None of the {len(entries) + len(problems)} entries of '{pairs}' can be used. "
            + (f"The first problem: {problems[0].where}: {problems[0].reason}." if problems else "")
        )
    return _publish(kept, problems, folders, options, categories)


def _prepare(pairs: Path, out: Path) -> None:
    folder = pairs.parent if pairs.is_file() else pairs
    if os.path.realpath(out) == os.path.realpath(folder):  # Path.resolve fails at a link to itself
        raise DatasetError(f"'{out}' is the paired dataset itself. Choose another folder for the result.")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(f"Cannot write to '{out}': {error}. Choose a writable folder.") from error


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


def _publish(
    kept: Sequence[tuple[PairEntry, Outcome]],
    problems: list[Problem],
    folders: Folders,
    options: BuildOptions,
    categories: dict[str, str],
) -> BuildSummary:
    tasks: dict[str, tuple[list[_Pair], list[_Pair]]] = {}
    held = hold_out(_contents(kept), options.test_pairs, options.seed)
    for number, (entry, outcome) in enumerate(kept):
        tasks.setdefault(entry.task, ([], []))[number in held].append(_Pair(entry, outcome))
    problems.extend(_shortages(tasks, options))
    names = sorted(tasks)
    test = _write_samples(folders.out / TEST, ((name, tasks[name][1], None) for name in names), options.seed)
    limit = options.per_task
    train = _write_samples(folders.out / TRAIN, ((name, tasks[name][0], limit) for name in names), options.seed)
    _write_json(folders.out / TASKS, _task_table(tasks, train, test, categories))
    with appearing_text(folders.out / PROBLEMS) as file:
        file.writelines(json_text(problem.record()) + "\n" for problem in problems)
    count = {kind: sum(problem.kind == kind for problem in problems) for kind in ("broken", "duplicate", "note")}
    summary = BuildSummary(
        pictures=len(kept),
        tasks=len(tasks),
        train_samples=sum(train.values()),
        test_samples=sum(test.values()),
        broken=count["broken"],
        duplicates=count["duplicate"],
        notes=count["note"],
    )
    _write_json(folders.out / SUMMARY, {**vars(options), **vars(summary)})
    return summary


def _contents(kept: Sequence[tuple[PairEntry, Outcome]]) -> list[Contents]:
    return [
        Contents(number, entry.task, entry.picture, *map(bytes.fromhex, outcome.digests))
        for number, (entry, outcome) in enumerate(kept)
    ]


def _shortages(tasks: dict[str, tuple[list[_Pair], list[_Pair]]], options: BuildOptions) -> Iterator[Problem]:
    for name in sorted(tasks):
        train, test = tasks[name]
        if len(train) < 2:
            yield Problem("note", name, "", f"the task has {len(train)} picture(s) to train on; no pair can be drawn")
        if len(test) < options.test_pairs:
            reason = f"{len(test)} instead of {options.test_pairs} pictures could be held out for testing"
            yield Problem("note", name, "", reason)


def _write_samples(path: Path, tasks: Iterator[tuple[str, list[_Pair], int | None]], seed: int) -> dict[str, int]:
    """Write the samples of all tasks to one file; return how many each task has."""
    counts: dict[str, int] = {}
    with appearing_text(path) as file:
        for name, pairs, limit in tasks:
            order = shuffled(pairs, lambda pair: pair.entry.picture, seed, "rotation")
            counts[name] = 0
            for exemplar, source in rotation(len(order), limit, f"{seed} {name}"):
                file.write(_sample_line(order[exemplar], order[source]))
                counts[name] += 1
    return counts


def _sample_line(exemplar: _Pair, source: _Pair) -> str:
    sample = {
        "cond1": exemplar.outcome.before,
        "cond2": exemplar.outcome.after,
        "source": source.outcome.before,
        "target": source.outcome.after,
        "text": source.entry.instruction,
    }
    return json_text(sample) + "\n"


def _task_table(
    tasks: dict[str, tuple[list[_Pair], list[_Pair]]],
    train: dict[str, int],
    test: dict[str, int],
    categories: dict[str, str],
) -> dict[str, dict[str, object]]:
    return {
        name: {
            "category": categories.get(name, ""),
            "folder": str(Path((train_pairs or test_pairs)[0].outcome.before).parent.as_posix()),
            "train_pictures": len(train_pairs),
            "test_pictures": len(test_pairs),
            "train_samples": train[name],
            "test_samples": test[name],
        }
        for name, (train_pairs, test_pairs) in sorted(tasks.items())
    }


def _write_json(path: Path, value: object) -> None:
    with appearing_text(path) as file:
        file.write(json_text(value, indent=2) + "\n")
