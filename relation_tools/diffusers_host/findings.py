"""How pictures end, and the report of a run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from relation_core.errors import printable

_LOG = logging.getLogger(__name__)


class Named(Protocol):
    """A path, or an address."""

    @property
    def name(self) -> str:
        """Its last part."""
        ...


@dataclass(frozen=True)
class Outcome:
    """How one picture ends."""

    kind: Literal["edited", "kept", "unknown", "busy", "stale", "failed"]
    """``kept``: its result was there. ``unknown``: likewise, without a record of what it was made of. ``busy``: another
    process edits it. ``stale``: its result is of another source, or of other settings or models."""
    message: str = ""
    """Why it failed."""


@dataclass
class Findings:
    """The outcomes of all pictures."""

    edited: int = 0
    kept: int = 0
    """Results that already exist."""
    busy: list[str] = field(default_factory=list[str])
    """Sources that another process is editing."""
    stale: list[str] = field(default_factory=list[str])
    """Results of another source, or of other settings or models."""
    unknown: list[str] = field(default_factory=list[str])
    """Results without a record of what they were made from."""
    failed: list[str] = field(default_factory=list[str])

    def add(self, outcome: Outcome, source: Named, result: Named) -> None:
        """Count an outcome."""
        self.edited += outcome.kind == "edited"
        self.kept += outcome.kind in ("kept", "unknown")
        if outcome.kind == "failed":
            self.failed.append(outcome.message)
        elif outcome.kind == "busy":
            self.busy.append(source.name)
        elif outcome.kind == "stale":
            self.stale.append(result.name)
        elif outcome.kind == "unknown":
            self.unknown.append(result.name)

    def report(self, count: int, out: object) -> int:
        """Report the findings, and return the exit status."""
        there = f", {self.kept} were there already" if self.kept else ""
        _LOG.info("%d of %d pictures edited%s: %s", self.edited, count - self.kept, there, printable(str(out)))
        if self.unknown:
            _LOG.warning(
                "%d of those that were there do not say what they were made of, and were left as they are: %s.",
                *(len(self.unknown), _names(self.unknown)),
            )
        if self.busy:
            _LOG.warning("%d pictures are being edited by another process: %s.", len(self.busy), _names(self.busy))
        if self.stale:
            _LOG.error(
                "%d results were made of another source, or with other settings or models, and were left as they are: "
                "%s. Choose another folder, or add --overwrite to replace them.",
                *(len(self.stale), _names(self.stale)),
            )
        for message in self.failed:
            _LOG.error("%s", message)
        if self.failed:
            _LOG.error("%d of %d pictures failed.", len(self.failed), count)
        return 1 if self.failed or self.stale else 0


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(printable(name) for name in names[:10])
    return shown + (", ..." if len(names) > 10 else "")
