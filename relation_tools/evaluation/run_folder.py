"""The folder of one evaluation."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, cast

from relation_core.files.json_file import read_json
from relation_core.files.regular_file import open_regular
from relation_core.weights.atomic import write_whole

from ..fingerprints import picture_digest
from .errors import EvaluationError

_LOG = logging.getLogger(__name__)


class RunFolder:
    """The paths of an evaluation's results, journal and scores."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journal = folder / "journal.jsonl"
        self.scores = folder / "scores.jsonl"
        self.judgements = folder / "judgements"

    def result(self, index: int) -> Path:
        """Return the path of a sample's result."""
        return self.folder / "results" / f"{index:06d}.png"

    def open(self, file: Path, workflow: Path, seed: int) -> None:
        """Make the folder, or check that it belongs to this evaluation by servers.

        Raises:
            EvaluationError: it belongs to another one.
        """
        self.open_for(file, {"workflow": _digest(workflow), "seed": seed})

    def open_for(self, file: Path, made_by: Mapping[str, object]) -> None:
        """Make the folder, or check that it belongs to this evaluation.

        Args:
            file: of the samples.
            made_by: what results depend on, by names for messages.

        Raises:
            EvaluationError: it belongs to another one.
        """
        made_with = {"samples": _digest(file), **made_by}
        record = self.folder / "run.json"
        found = _record(record)
        if not any(self._depending()):  # perhaps a run that could not begin left the record
            write_whole(record, json.dumps(made_with, indent=2).encode())
            return
        if found is None:
            what = "damaged" if record.exists() else "gone"
            raise EvaluationError(
                f"'{record}' is {what}, so it is not known what the results in '{self.folder}' were made with. "
                "Choose another folder, or remove this one."
            )
        other = [key for key, value in made_with.items() if found.get(key) != value]
        if other:
            raise EvaluationError(
                f"The results in '{self.folder}' were made with another {' and '.join(other)}. Give another "
                "folder, or remove this one."
            )

    def _depending(self) -> Iterator[Path]:
        """What was made with the settings that the record names."""
        yield from (self.folder / "results").glob("*.png")
        yield from self.judgements.glob("*.json")
        yield from (path for path in (self.journal, self.scores) if path.exists() and path.stat().st_size)

    def check_samples(self, file: Path) -> None:
        """Check that the results belong to the samples of a file.

        Raises:
            EvaluationError: they do not, or there are none.
        """
        record = self.folder / "run.json"
        if not record.exists():
            raise EvaluationError(f"'{self.folder}' holds no results. Run `evaluate run` first.")
        found = _record(record)
        if found is None:
            raise EvaluationError(
                f"'{record}' is damaged, so it is not known what the results belong to. Run the samples again into "
                "another folder."
            )
        if found.get("samples") != _digest(file):
            raise EvaluationError(f"The results in '{self.folder}' are of other samples than those of '{file}'.")


def _record(path: Path) -> dict[str, object] | None:
    """What a run was made with; None where that is not known."""
    if not path.exists():
        return None
    try:
        found: object = read_json(path)
    except (OSError, ValueError):
        found = None
    if isinstance(found, dict):
        return cast("dict[str, object]", found)
    _LOG.warning("'%s' is damaged.", path)
    return None


def _digest(path: Path) -> str:
    try:
        with open_regular(path) as file:
            return _hash(file)
    except (OSError, ValueError) as error:
        raise EvaluationError(f"Cannot read '{path}': {error}.") from error


def pictures_digest(paths: Iterable[Path]) -> str:
    """Fingerprint files; a file that cannot be read has no contents."""
    return hashlib.sha256(" ".join(map(_contents, paths)).encode()).hexdigest()[:32]


def _contents(path: Path) -> str:
    try:
        return picture_digest(path)
    except (OSError, ValueError):
        return "unreadable"


def _hash(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while piece := file.read(1 << 20):
        digest.update(piece)
    return digest.hexdigest()
