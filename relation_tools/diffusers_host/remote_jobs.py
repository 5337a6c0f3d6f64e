"""Pictures to edit at addresses: each is brought here, edited as any other, and its result is sent back."""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from relation_core.errors import printable
from relation_core.pictures.picture_file import MAX_BYTES, readable_suffixes

from ..address import Address, Place
from ..picture_listing import list_pictures, warn_of_others
from .jobs import WRITTEN_SUFFIXES, EditJob, JobError, name_results


@dataclass(frozen=True)
class RemoteJob:
    """One picture to be edited, of which the source or the result is at an address."""

    source: Place
    result: Place


def plan_remote(source: Place, out: Place, overwrite: bool) -> list[RemoteJob]:
    """Find the sources, and name their results, as :func:`.jobs.plan_jobs` does.

    Args:
        source: a picture, or a folder of pictures.
        out: a folder; of a single picture, also a file by its ending.
        overwrite: whether an existing result is replaced.

    Raises:
        JobError: there are no sources, results have no place, or the only one exists.
        AddressError: an address cannot be reached.
    """
    names = _pictures(source)
    if names is None:
        job = RemoteJob(source, out if out.suffix.lower() in WRITTEN_SUFFIXES else _within(out, f"{_stem(source)}.png"))
        there = job.result.is_file()
        if there and not overwrite:
            raise JobError(f"{job.result} already exists. Choose another name, or add --overwrite to replace it.")
        return [job]
    if source == out:
        raise JobError(f"Results would be written among the sources, in {out}. Choose another place for results.")
    if out.suffix.lower() in WRITTEN_SUFFIXES:
        raise JobError(f"{source} is a folder, and {out} names a file; expected a folder for the results.")
    named = name_results([Path(name) for name in names], Path())
    return [RemoteJob(_within(source, job.source.name), _within(out, job.result.name)) for job in named]


@contextmanager
def at_hand(job: RemoteJob) -> Generator[EditJob]:
    """Bring a picture, and its result if there is one, here; send back in the end what was made.

    Raises:
        JobError: there is no such picture.
        AddressError: an address cannot be reached.
    """
    with tempfile.TemporaryDirectory(prefix="relation-adapter-") as name:
        folder = Path(name)
        here = EditJob(_brought(job.source, folder / "source"), _brought(job.result, folder / "result"))
        if not here.source.exists():
            raise JobError(f"There is no picture at '{printable(str(job.source))}' any longer. Run again.")
        before = _state(here.result)
        yield here
        if isinstance(job.result, Address) and _state(here.result) not in (None, before):
            if here.comparison.exists():
                Address(str(job.result).removesuffix(job.result.name) + here.comparison.name).put(
                    here.comparison.read_bytes()
                )
            job.result.put(here.result.read_bytes())  # last, so that every result has its sheet


def _brought(place: Place, folder: Path) -> Path:
    if isinstance(place, Path):
        return place
    place.bring(folder / place.name, MAX_BYTES)
    return folder / place.name


def _state(file: Path) -> tuple[int, int] | None:
    return (file.stat().st_ino, file.stat().st_mtime_ns) if file.exists() else None


def _pictures(source: Place) -> list[str] | None:
    """The names of a folder's pictures; None if the source is one picture.

    Raises:
        JobError: there is nothing, or no picture.
    """
    if source.is_file():
        return None
    if isinstance(source, Path):
        listing = list_pictures(source) if source.is_dir() else None
        pictures, others = ([], ()) if listing is None else ([path.name for path in listing.pictures], listing.others)
        warn_of_others(others, source)
    else:
        found = [name for name in source.files() if not name.startswith(".")]
        pictures = [name for name in found if PurePosixPath(name).suffix.lower() in readable_suffixes()]
    if not pictures:
        raise JobError(
            f"There are no pictures at {printable(str(source))}; expected a picture, or a folder of files that end in "
            f"{', '.join(readable_suffixes())}. Check the path."
        )
    return pictures


def _within(folder: Place, name: str) -> Place:
    return folder.within(name) if isinstance(folder, Address) else folder / name


def _stem(place: Place) -> str:
    return PurePosixPath(place.name).stem
