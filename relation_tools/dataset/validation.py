"""Checks a run-ready dataset: its samples, its pictures, the balance of the rotation, and train against test."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from relation_core.errors import DatasetError
from relation_core.progress import Progress
from relation_core.samples.samples import BrokenSample, Sample, TaskTable, scan_samples

from .contents import Content, look_into
from .publishing import TEST, TRAIN, UNSEEN


@dataclass
class FileFindings:
    """Findings in one file."""

    file: Path
    samples: int = 0
    pictures: set[str] = field(default_factory=set[str])
    problems: list[str] = field(default_factory=list[str])
    imbalance: int = 0
    """The largest difference in how often two pictures of a task serve as exemplar, or source; 0 and 1 are balanced."""


@dataclass(frozen=True)
class Validation:
    """Findings in all files."""

    files: tuple[FileFindings, ...]
    leaks: tuple[str, ...]
    """Pictures that are trained on and stand in another file, by name or by pixels."""

    @property
    def problems(self) -> list[str]:
        """All violations."""
        return [problem for file in self.files for problem in file.problems] + list(self.leaks)


def run_ready_files(path: Path) -> list[Path]:
    """Give the files of a run-ready dataset: the one given, or those of a folder that ``build`` made.

    Raises:
        DatasetError: there is none.
    """
    files = [path] if path.is_file() else [path / name for name in (TRAIN, TEST, UNSEEN)]
    found = [file for file in files if file.is_file()]
    if not found:
        raise DatasetError(
            f"There is no run-ready dataset at '{path}': expected a .jsonl file, or a folder with train.jsonl or "
            "test.jsonl. `dataset build` makes one."
        )
    return found


def validate(files: Sequence[Path], progress: Progress) -> Validation:
    """Check the files of one run-ready dataset against each other.

    Args:
        files: in one folder, say the training and the test file.
        progress: told of every picture that was decoded.

    Raises:
        DatasetError: a file cannot be read.
    """
    folder = files[0].parent
    findings = [_scan(file) for file in files]
    names = sorted(set[str]().union(*(found.pictures for found in findings)))
    contents = look_into(folder, names, progress)
    for file, found in zip(files, findings, strict=True):
        found.problems.extend(_broken_pictures(found, contents))
        found.problems.extend(_unequal_sizes(file, contents))
    return Validation(tuple(findings), tuple(_leaks(findings, contents)))


def _scan(file: Path) -> FileFindings:
    found = FileFindings(file)
    tasks = TaskTable(file)
    uses: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for sample in scan_samples(file):
        found.samples += 1
        if isinstance(sample, BrokenSample):
            found.problems.append(f"{file.name}:{sample.line}: {sample.reason}")
            continue
        found.pictures.update(sample.pictures)
        if {sample.cond1, sample.cond2} & {sample.source, sample.target}:
            found.problems.append(f"{file.name}: sample {sample.index} has its own source or target as exemplar")
        task = tasks.task(sample).name
        uses[task, "exemplar"][sample.cond1] += 1
        uses[task, "source"][sample.source] += 1
    for task in {task for task, _ in uses}:
        exemplars, sources = uses[task, "exemplar"], uses[task, "source"]
        for count in (exemplars, sources):
            every = [count[picture] for picture in exemplars | sources]
            found.imbalance = max(found.imbalance, max(every) - min(every))
    return found


def _broken_pictures(found: FileFindings, contents: dict[str, Content]) -> Iterator[str]:
    for name in sorted(found.pictures):
        if contents[name].error:
            yield f"{found.file.name}: the picture '{name}' cannot be read: {contents[name].error}"


def _unequal_sizes(file: Path, contents: dict[str, Content]) -> Iterator[str]:
    told: set[tuple[str, str]] = set()
    for sample in scan_samples(file):
        if isinstance(sample, Sample):
            for pair in ((sample.cond1, sample.cond2), (sample.source, sample.target)):
                before, after = (contents[name] for name in pair)
                if pair in told or before.error or after.error:
                    continue
                told.add(pair)
                if (before.width, before.height) != (after.width, after.height):
                    sizes = f"{before.width}x{before.height} and {after.width}x{after.height}"
                    yield f"{file.name}: '{pair[0]}' and '{pair[1]}' are {sizes}; expected one size"


def _leaks(findings: Sequence[FileFindings], contents: dict[str, Content]) -> Iterator[str]:
    holders: dict[bytes, dict[Path, str]] = defaultdict(dict)
    for found in findings:
        for name in sorted(found.pictures):
            if not contents[name].error:
                holders[contents[name].digest].setdefault(found.file, name)
    for files in holders.values():
        if len(files) > 1 and any(file.name == TRAIN for file in files):
            places = " and ".join(f"{file.name} ('{name}')" for file, name in files.items())
            yield f"the same picture stands in {places}"
