"""The folder of one evaluation."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import cast

from relation_core.weights.atomic import write_whole

from .errors import EvaluationError

_LOG = logging.getLogger(__name__)


class RunFolder:
    """Where an evaluation's results, journal and scores lie."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journal = folder / "journal.jsonl"
        self.scores = folder / "scores.jsonl"
        self.judgements = folder / "judgements"

    def result(self, index: int) -> Path:
        """Give the file of a sample's result."""
        return self.folder / "results" / f"{index:06d}.png"

    def open(self, file: Path, workflow: Path, seed: int) -> None:
        """Make the folder, or check that it belongs to this evaluation.

        Raises:
            EvaluationError: it belongs to another one.
        """
        made_with = {"samples": _digest(file), "workflow": _digest(workflow), "seed": seed}
        record = self.folder / "run.json"
        found = _record(record)
        if found is not None:
            other = [key for key, value in made_with.items() if found.get(key) != value]
            if other:
                raise EvaluationError(
                    f"The results in '{self.folder}' were made with another {' and '.join(other)}. Give another "
                    "folder, or remove this one."
                )
        if found is None:
            write_whole(record, json.dumps(made_with, indent=2).encode())

    def check_samples(self, file: Path) -> None:
        """Check that the results belong to the samples of a file.

        Raises:
            EvaluationError: they do not, or there are none.
        """
        record = self.folder / "run.json"
        if not record.exists():
            raise EvaluationError(f"'{self.folder}' holds no results. `evaluate run` makes some.")
        found = _record(record)
        if found is None:
            raise EvaluationError(
                f"'{record}' is damaged, so it is not known what the results belong to. `evaluate run` with the same "
                "samples writes it anew."
            )
        if found.get("samples") != _digest(file):
            raise EvaluationError(f"The results in '{self.folder}' are of other samples than those of '{file}'.")


def _record(path: Path) -> dict[str, object] | None:
    """What a run was made with; None where that is not known."""
    if not path.exists():
        return None
    try:
        found: object = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        return cast("dict[str, object]", found)
    _LOG.warning("'%s' is damaged.", path)
    return None


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise EvaluationError(f"Cannot read '{path}': {error.strerror or error}.") from error
