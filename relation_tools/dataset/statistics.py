"""Count the contents of a run-ready dataset."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from relation_core.progress import Progress
from relation_core.samples.samples import Sample, Task, TaskTable, scan_samples

from .contents import look_into
from .names import natural_key

UNKNOWN_CATEGORY = "(no category)"


@dataclass(frozen=True)
class Statistics:
    """Counts over the files of one run-ready dataset."""

    samples: dict[Task, dict[str, int]]
    """Of every task: samples by file name."""
    pictures: dict[Task, int]
    """Of every task: pairs of a picture before and after."""
    sizes: dict[str, int]
    """Pictures by "width x height", the most frequent first."""
    duplicates: list[list[str]]
    """Files with the same pixels."""
    unreadable: list[str]

    def categories(self) -> dict[str, list[Task]]:
        """Group the tasks."""
        found: dict[str, list[Task]] = defaultdict(list)
        for task in self.samples:
            found[task.category or UNKNOWN_CATEGORY].append(task)
        return dict(sorted(found.items()))


def statistics(files: Sequence[Path], progress: Progress) -> Statistics:
    """Count tasks, pictures, sizes and duplicates over files in one folder.

    Raises:
        DatasetError: a file cannot be read.
    """
    samples: dict[Task, Counter[str]] = defaultdict(Counter)
    pairs: dict[Task, set[tuple[str, str]]] = defaultdict(set)
    for file in files:
        tasks = TaskTable(file)
        for sample in scan_samples(file):
            if isinstance(sample, Sample):
                task = tasks.task(sample)
                samples[task][file.name] += 1
                pairs[task] |= {(sample.cond1, sample.cond2), (sample.source, sample.target)}
    names = sorted({name for task in pairs.values() for pair in task for name in pair})
    contents = look_into(files[0].parent, names, progress)
    same: dict[bytes, list[str]] = defaultdict(list)
    for name in names:
        if not contents[name].error:
            same[contents[name].digest].append(name)
    sizes = Counter(f"{seen.width}x{seen.height}" for seen in contents.values() if not seen.error)
    order = sorted(samples, key=lambda task: (task.category, natural_key(task.name)))
    return Statistics(
        samples={task: dict(samples[task]) for task in order},
        pictures={task: len(pairs[task]) for task in order},
        sizes=dict(sizes.most_common()),
        duplicates=[files for files in same.values() if len(files) > 1],
        unreadable=[name for name in names if contents[name].error],
    )
