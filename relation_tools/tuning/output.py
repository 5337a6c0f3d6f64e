"""The paths of a relation and of the files beside it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from relation_core.relation.relation import Relation
from relation_core.relation.relation_file import save_relation
from relation_core.tuning.settings import TuningError
from relation_core.weights.library_card import LibraryCard

from ..training.run_state import saved_states


@dataclass(frozen=True)
class Output:
    """A relation file that is to be written."""

    relation: Path

    @classmethod
    def at(cls, path: Path, overwrite: bool) -> Output:
        """Check a name before the work begins.

        Raises:
            TuningError: it does not end as a relation's, or is taken.
        """
        if path.suffix.lower() != ".safetensors":
            raise TuningError(
                f"'{path.name}' is not a relation's file name; expected it to end in .safetensors. Rename it."
            )
        _check_free(path, overwrite)
        return cls(path)

    def check_beside(self, overwrite: bool) -> None:
        """Check the names of what learning writes beside the relation, before the work begins.

        Raises:
            TuningError: one is taken, and not by an earlier run that goes on.
        """
        if self.states.exists() and not self.states.is_dir():
            raise TuningError(
                f"{self.states} is a file; expected that name to be free for a folder, in which learning keeps its "
                "state. Rename it, or choose another name for the relation."
            )
        for picture in (self.curve, self.sheet):
            _check_free(picture, overwrite or bool(saved_states(self.states)))

    @property
    def states(self) -> Path:
        """The folder of the state that an interrupted run resumes from."""
        return self.relation.with_suffix(".tuning")

    @property
    def curve(self) -> Path:
        """The picture of the loss."""
        return self.relation.with_suffix(".curve.png")

    @property
    def sheet(self) -> Path:
        """The sheet of results."""
        return self.relation.with_suffix(".sheet.png")

    @contextmanager
    def writing_pictures(self) -> Generator[None]:
        """Say what can be done where the pictures beside the relation cannot be written in the block.

        Raises:
            TuningError: they cannot.
        """
        try:
            yield
        except OSError as error:
            raise TuningError(
                f"The pictures beside {self.relation} cannot be written ({error.strerror or error}). Expected room for "
                "them: make room, and start the same command again; it goes on from the last state."
            ) from error

    def write(self, relation: Relation) -> None:
        """Write the relation whole or not at all.

        Raises:
            RelationAdapterError: it cannot be written.
        """
        save_relation(relation, self.relation, LibraryCard())  # the same bytes, whatever the file is called


def _check_free(path: Path, overwrite: bool) -> None:
    if path.is_dir():
        raise TuningError(f"{path} is a folder; expected a file, or nothing of that name. Choose another name.")
    if path.exists() and not overwrite:
        raise TuningError(f"{path} already exists. Choose another name, or add --overwrite to replace it.")
