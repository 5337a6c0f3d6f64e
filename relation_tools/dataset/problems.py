"""A build's findings about its input: entries it could not use, and entries it used with a remark."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

Kind = Literal["broken", "duplicate", "note"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding.

    ``broken`` and ``duplicate`` entries are left out of the run-ready dataset; a ``note`` is a remark on an entry, or
    on a whole task, that is in it.
    """

    kind: Kind
    where: str
    """The file and line of the entry, or the task."""
    picture: str
    """The picture's path relative to the dataset; empty where there is none."""
    reason: str

    def record(self) -> dict[str, str]:
        """Return the finding in the form of ``problems.jsonl``."""
        return asdict(self)
