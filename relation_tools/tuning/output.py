"""The paths of a relation and of the files beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from relation_core.relation.relation import Relation
from relation_core.relation.relation_file import save_relation
from relation_core.tuning.settings import TuningError
from relation_core.weights.library_card import LibraryCard


@dataclass(frozen=True)
class Output:
    """A relation file that is to be written."""

    relation: Path

    @classmethod
    def at(cls, path: Path, overwrite: bool) -> Output:
        """Check a name before the work begins.

        Raises:
            TuningError: it does not end as a relation's, or it is taken.
        """
        if path.suffix.lower() != ".safetensors":
            raise TuningError(
                f"'{path.name}' is not a relation's file name; expected it to end in .safetensors. Rename it."
            )
        if path.exists() and not overwrite:
            raise TuningError(f"{path} already exists. Choose another name, or add --overwrite to replace it.")
        return cls(path)

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

    def make_folder(self) -> None:
        """Make the folder that everything goes into.

        Raises:
            TuningError: it cannot be made.
        """
        try:
            self.relation.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error

    def write(self, relation: Relation) -> None:
        """Write the relation whole or not at all.

        Raises:
            RelationAdapterError: it cannot be written.
        """
        self.make_folder()
        save_relation(relation, self.relation, LibraryCard())  # the same bytes, whatever the file is called

    def _unwritable(self, error: OSError) -> TuningError:
        return TuningError(f"Cannot write {self.relation}: {error.strerror or error}. Choose another place.")
