"""Samples of a run-ready dataset."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, cast

from ..errors import DatasetError
from ..files.json_file import read_json
from .json_values import Located, Unreadable, read_values

PICTURE_KEYS = ("cond1", "cond2", "source", "target")
CAPTION_KEYS = ("source_caption", "target_caption")
"""Optional: what source and target show."""
TASKS = "tasks.json"
PROBLEMS = "problems.jsonl"
"""The problems that a build found in its input; this file lies beside the samples and holds none."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample; its pictures' paths are relative to the file's folder, with forward slashes."""

    index: int
    """Its place in the file, counted from 0."""
    cond1: str
    cond2: str
    source: str
    target: str
    text: str
    source_caption: str = ""
    target_caption: str = ""

    @property
    def pictures(self) -> tuple[str, str, str, str]:
        """Exemplar before and after, source, target."""
        return self.cond1, self.cond2, self.source, self.target


@dataclass(frozen=True, slots=True)
class BrokenSample:
    """A line that is not a sample."""

    index: int
    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Task:
    """A sample's task and category; the category is empty if unknown."""

    name: str
    category: str
    unseen: bool = False
    """Whether the dataset has no sample of it to train on."""


def scan_samples(file: Path) -> Iterator[Sample | BrokenSample]:
    """Yield the samples of a run-ready ``.jsonl`` or ``.json``, broken ones as what is wrong with them.

    Raises:
        DatasetError: the file cannot be read.
    """
    try:
        for index, located in enumerate(read_values(file)):
            yield _sample(index, located)
    except OSError as error:
        raise DatasetError(
            f"Cannot read '{file}': {error.strerror or error}. Give the .jsonl file of a run-ready dataset."
        ) from error


def read_samples(file: Path) -> Iterator[Sample]:
    """Yield the samples of a file.

    Raises:
        DatasetError: the file cannot be read, or a sample in it is broken.
    """
    for found in scan_samples(file):
        if isinstance(found, BrokenSample):
            raise _broken(file, found)
        yield found


def read_sample(file: Path, index: int) -> Sample:
    """Read one sample.

    Raises:
        DatasetError: there is none at this index, or it is broken.
    """
    found = next(islice(scan_samples(file), max(index, 0), None), None)
    if found is None or index < 0:
        count = sum(1 for _ in scan_samples(file))
        raise DatasetError(
            f"'{file.name}' has {count} samples; there is none with index {index}. Choose one from 0 to {count - 1}."
        )
    if isinstance(found, BrokenSample):
        raise _broken(file, found)
    return found


def _broken(file: Path, found: BrokenSample) -> DatasetError:
    return DatasetError(
        f"Sample {found.index} of '{file.name}' (line {found.line}) is broken: {found.reason}. "
        "`python -m relation_tools dataset validate` lists all that are."
    )


def _sample(index: int, located: Located) -> Sample | BrokenSample:
    value = located.value
    if isinstance(value, Unreadable):
        return BrokenSample(index, located.line, value.reason)
    fields = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    missing = [key for key in (*PICTURE_KEYS, "text") if not isinstance(fields.get(key), str)]
    if missing:
        hint = "; this is an entry of a paired dataset, build a run-ready one of it" if "img_name" in fields else ""
        return BrokenSample(index, located.line, f"expected an object with text for {', '.join(missing)}{hint}")
    for key in PICTURE_KEYS:
        path = PurePosixPath(fields[key])
        if path.is_absolute() or not path.name or ".." in path.parts or {"\\", "\0"} & set(fields[key]):
            reason = f"'{key}' is '{fields[key]}'; expected a path inside the file's folder"
            return BrokenSample(index, located.line, reason)
    captions = {key: fields[key] for key in CAPTION_KEYS if isinstance(fields.get(key), str)}
    return Sample(index, **{key: fields[key] for key in (*PICTURE_KEYS, "text")}, **captions)


class TaskTable:
    """Finds the task of a sample from the folder of its source, with ``tasks.json`` if there is one."""

    def __init__(self, file: Path) -> None:
        table = file.parent / TASKS
        self._tasks: dict[str, Task] = {}
        if table.exists():
            for name, fields in _load_table(table).items():
                self._tasks[fields["folder"]] = Task(name, fields["category"], bool(fields["unseen"]))

    def task(self, sample: Sample) -> Task:
        """Return the sample's task."""
        folder = str(PurePosixPath(sample.source).parent)
        return self._tasks.get(folder, Task(folder, ""))


def _load_table(table: Path) -> dict[str, dict[str, Any]]:
    try:
        tasks = read_json(table)
        return {
            name: {**{key: str(fields[key]) for key in ("folder", "category")}, "unseen": fields.get("unseen", False)}
            for name, fields in tasks.items()
        }
    except (ValueError, OSError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"Cannot use '{table}' ({type(error).__name__}: {str(error)[:200]}). Expected the file that `dataset "
            "build` writes; build the dataset again, or remove the file."
        ) from error
