"""One corrupted file: how it is made, and what a reader may do with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

REFUSED, READ, EITHER = "refused", "read", "either"
"""What may come of reading a file. EITHER: finite numbers are as good as a refusal."""

FILE, FOLDER, NOWHERE = "a file", "a folder", "nothing"
DANGLING_LINK, LOOPED_LINK = "a link to nothing", "a link to itself"


@dataclass(frozen=True)
class Corruption:
    """One file."""

    name: str
    suffix: str
    make: Callable[[Path], bytes]
    """Given the path of a marker that code in the file would write."""
    outcome: str = REFUSED
    says: str = ""
    """Pattern that a refusal's message matches."""
    live: bool = False
    """Whether an unsafe reader would run code in it."""
    kind: str = FILE
    config: bytes | None = None
    """What lies beside it as ``config.json``."""

    def put(self, folder: Path) -> Path:
        """Write it; code in it would write ``marker`` in the same folder."""
        path = folder / f"weights{self.suffix}"
        if self.config is not None:
            (folder / "config.json").write_bytes(self.config)
        if self.kind == FILE:
            path.write_bytes(self.make(folder / "marker"))
        elif self.kind == FOLDER:
            path.mkdir()
        elif self.kind != NOWHERE:
            path.symlink_to(path if self.kind == LOOPED_LINK else folder / "gone")
        return path


def fixed(content: bytes) -> Callable[[Path], bytes]:
    """These bytes, wherever the marker is."""
    return lambda marker: content


def file_of(name: str, content: bytes, suffix: str = ".bin", outcome: str = REFUSED, says: str = "") -> Corruption:
    """A file of these bytes."""
    return Corruption(name, suffix, fixed(content), outcome, says)


def file_of_later(
    name: str, make: Callable[[], bytes], suffix: str = ".bin", outcome: str = REFUSED, says: str = ""
) -> Corruption:
    """A file of bytes that take long to make: only where the file is read."""
    return Corruption(name, suffix, lambda marker: make(), outcome, says)


def by_name(corruptions: Iterable[Corruption]) -> dict[str, Corruption]:
    """Index corruptions; each has a name of its own."""
    made = list(corruptions)
    index = {corruption.name: corruption for corruption in made}
    assert len(index) == len(made)
    return index
