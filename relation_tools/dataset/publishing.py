"""Writes what a build drew of its pictures: samples, tasks, problems and the record of the build."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from relation_core.files.json_file import json_text
from relation_core.samples.samples import PROBLEMS, TASKS
from relation_core.weights.atomic import appearing_text

from .hold_out import Contents, hold_out
from .options import BuildOptions, BuildSummary
from .outcomes import Outcome
from .pair_entry import PairEntry
from .problems import Problem
from .rotation import rotation, shuffled
from .unseen_tasks import choose_tasks

TRAIN, TEST, UNSEEN, SUMMARY = "train.jsonl", "test.jsonl", "unseen.jsonl", "build.json"


@dataclass(frozen=True, slots=True)
class _Pair:
    entry: PairEntry
    outcome: Outcome


@dataclass
class _Sides:
    """A task's pictures on either side."""

    unseen: bool
    """Whether nothing of the task is trained on."""
    train: list[_Pair] = field(default_factory=list[_Pair])
    test: list[_Pair] = field(default_factory=list[_Pair])
    left: list[_Pair] = field(default_factory=list[_Pair])
    """Pictures of an unseen task that are not tested."""


def publish(
    kept: Sequence[tuple[PairEntry, Outcome]],
    problems: list[Problem],
    out: Path,
    options: BuildOptions,
    categories: dict[str, str],
) -> BuildSummary:
    """Draw samples of the pictures that can be used, and write all that a build leaves; ``build.json`` is the last."""
    unseen = choose_tasks(
        Counter(entry.task for entry, _ in kept), options.hold_out_tasks, options.test_pairs, options.seed
    )
    tasks = _sides(kept, options, unseen)
    problems.extend(_shortages(tasks, options))
    drawn = _write_all_samples(out, tasks, options)
    _write_json(out / TASKS, _task_table(tasks, drawn, categories))
    with appearing_text(out / PROBLEMS) as file:
        file.writelines(json_text(problem.record()) + "\n" for problem in problems)
    count = Counter(problem.kind for problem in problems)
    summary = BuildSummary(
        pictures=len(kept),
        tasks=len(tasks),
        train_samples=sum(drawn[TRAIN].values()),
        test_samples=sum(drawn[TEST].values()),
        unseen_samples=sum(drawn[UNSEEN].values()),
        broken=count["broken"],
        duplicates=count["duplicate"],
        notes=count["note"],
    )
    _write_json(out / SUMMARY, {**vars(options), "hold_out_tasks": unseen, **vars(summary)})
    return summary


def _sides(
    kept: Sequence[tuple[PairEntry, Outcome]], options: BuildOptions, unseen: Collection[str]
) -> dict[str, _Sides]:
    tasks: dict[str, _Sides] = {}
    held = hold_out(_contents(kept), options.test_pairs, options.seed, unseen)
    for number, (entry, outcome) in enumerate(kept):
        sides = tasks.setdefault(entry.task, _Sides(entry.task in unseen))
        side = sides.test if number in held else sides.left if sides.unseen else sides.train
        side.append(_Pair(entry, outcome))
    return {name: tasks[name] for name in sorted(tasks)}


def _write_all_samples(out: Path, tasks: dict[str, _Sides], options: BuildOptions) -> dict[str, dict[str, int]]:
    """Write the files of samples; give for each how many every task has."""
    seen = {name: sides for name, sides in tasks.items() if not sides.unseen}
    unseen = {name: sides for name, sides in tasks.items() if sides.unseen}
    tested = _write_samples(out / TEST, ((name, sides.test, None) for name, sides in seen.items()), options.seed)
    trained = ((name, sides.train, options.per_task) for name, sides in seen.items())
    drawn = {TRAIN: _write_samples(out / TRAIN, trained, options.seed), TEST: tested, UNSEEN: dict[str, int]()}
    if unseen:
        new = ((name, sides.test, None) for name, sides in unseen.items())
        drawn[UNSEEN] = _write_samples(out / UNSEEN, new, options.seed)
    else:
        (out / UNSEEN).unlink(missing_ok=True)  # of a build with other options
    return drawn


def _contents(kept: Sequence[tuple[PairEntry, Outcome]]) -> list[Contents]:
    return [
        Contents(number, entry.task, entry.picture, *map(bytes.fromhex, outcome.digests))
        for number, (entry, outcome) in enumerate(kept)
    ]


def _shortages(tasks: dict[str, _Sides], options: BuildOptions) -> Iterator[Problem]:
    for name, sides in tasks.items():
        train, test = len(sides.train), len(sides.test)
        if train < 2 and not sides.unseen:
            yield Problem("note", name, "", f"the task has {train} picture(s) to train on; no pair can be drawn")
        if test < options.test_pairs:
            reason = f"{test} instead of {options.test_pairs} pictures could be held out for testing"
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
    tasks: dict[str, _Sides], drawn: dict[str, dict[str, int]], categories: dict[str, str]
) -> dict[str, dict[str, object]]:
    return {
        name: {
            "category": categories.get(name, ""),
            "folder": Path((sides.train or sides.test or sides.left)[0].outcome.before).parent.as_posix(),
            "unseen": sides.unseen,
            "train_pictures": len(sides.train),
            "test_pictures": len(sides.test),
            "train_samples": drawn[TRAIN].get(name, 0),
            "test_samples": drawn[TEST].get(name, 0) + drawn[UNSEEN].get(name, 0),
        }
        for name, sides in tasks.items()
    }


def _write_json(path: Path, value: object) -> None:
    with appearing_text(path) as file:
        file.write(json_text(value, indent=2) + "\n")
