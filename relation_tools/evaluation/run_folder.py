"""The folder of one evaluation."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from relation_core.weights.atomic import write_whole

from .errors import EvaluationError


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
        if record.exists():
            found = json.loads(record.read_bytes())
            other = [key for key, value in made_with.items() if found.get(key) != value]
            if other:
                raise EvaluationError(
                    f"The results in '{self.folder}' were made with another {' and '.join(other)}. Give another "
                    "folder, or remove this one."
                )
        if not record.exists():
            write_whole(record, json.dumps(made_with, indent=2).encode())

    def check_samples(self, file: Path) -> None:
        """Check that the results belong to the samples of a file.

        Raises:
            EvaluationError: they do not, or there are none.
        """
        record = self.folder / "run.json"
        if not record.exists():
            raise EvaluationError(f"'{self.folder}' holds no results. `evaluate run` makes some.")
        if json.loads(record.read_bytes())["samples"] != _digest(file):
            raise EvaluationError(f"The results in '{self.folder}' are of other samples than those of '{file}'.")


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise EvaluationError(f"Cannot read '{path}': {error.strerror or error}.") from error
