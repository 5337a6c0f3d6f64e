"""The pictures to edit, and the paths of the results."""

from __future__ import annotations

import errno
import logging
import os
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from PIL import Image

from relation_core.errors import RelationAdapterError, printable
from relation_core.pictures.picture_file import readable_suffixes
from relation_core.weights.atomic import appearing
from relation_core.weights.kinds import shortened
from relation_core.weights.lock import BusyError, alone_at

from ..picture_listing import list_pictures, warn_of_others
from .identity import png_identity

_LOG = logging.getLogger(__name__)
_SHOWN = 10
"""Names that a message lists."""
WRITTEN_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


_BAD_NAMES = (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL)
"""Operating system errors that concern one file's name and not others."""


class JobError(RelationAdapterError):
    """Pictures cannot be found, or results cannot be written."""


class ResultNameError(JobError):
    """The file system refuses the name of one result."""


@dataclass(frozen=True)
class EditJob:
    """One picture to be edited."""

    source: Path
    result: Path

    @property
    def comparison(self) -> Path:
        """Path of the comparison sheet beside the result."""
        return self.result.with_name(f"{self.result.stem}.comparison{self.result.suffix}")


def plan_jobs(source: Path, out: Path, overwrite: bool) -> list[EditJob]:
    """Find the sources, and name their results.

    Args:
        source: a picture, or a folder of pictures (those in its folders are left alone).
        out: the result's file; a folder for a folder of sources, or to keep the source's name.
        overwrite: whether an existing result is replaced.

    Raises:
        JobError: there are no sources, a result's name is not a picture's or is shared, or the only one exists.
    """
    if source.is_dir():
        jobs = name_results(_pictures(source), out)
        if out.is_file() or out.suffix.lower() in readable_suffixes():
            raise JobError(f"{source} is a folder, and {out} names a file; expected a folder for the results.")
    elif source.is_file():
        jobs = [EditJob(source, out / f"{source.stem}.png" if out.is_dir() else out)]
        _check_suffix(jobs[0].result)
    else:
        raise JobError(f"There is nothing at {source}; expected a picture, or a folder of pictures. Check the path.")
    _check_names(jobs)
    if not overwrite and not source.is_dir() and is_there(jobs[0].result):
        raise JobError(f"{jobs[0].result} already exists. Choose another name, or add --overwrite to replace it.")
    return jobs


def is_there(result: Path) -> bool:
    """Whether a result lies at a path.

    Raises:
        ResultNameError: the path is invalid.
    """
    try:
        result.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        raise _unwritable(result, error) from error
    return True


@contextmanager
def claimed(job: EditJob) -> Generator[bool]:
    """Keep other processes from making the same result during the block; False if one is making it.

    Raises:
        JobError: the folder cannot be written.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(alone_at(job.result, "editing"))
            taken = True
        except BusyError:
            taken = False
        except OSError as error:
            raise _unwritable(job.result, error) from error
        yield taken


def save_picture(picture: Image.Image, path: Path, identity: str = "") -> None:
    """Write a picture whole or not at all, in the format that its name ends in.

    Args:
        picture: what to write.
        path: the file.
        identity: of the result, which a PNG records.

    Raises:
        ResultNameError: the file system refuses the name.
        JobError: it cannot be written.
    """
    kind = Image.registered_extensions()[path.suffix.lower()]
    options: dict[str, Any] = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    if kind == "WEBP":
        options = {"lossless": True}
    if kind == "PNG" and identity:
        options = {"pnginfo": png_identity(identity)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with appearing(path) as unfinished:
            picture.save(unfinished, format=kind, **options)
    except (OSError, ValueError) as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError | ValueError) -> JobError:
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    name = printable(str(path))
    if isinstance(error, ValueError) or error.errno in _BAD_NAMES:
        return ResultNameError(f"Cannot write {name}: {reason}. Give the source a shorter or a plainer name.")
    return JobError(f"Cannot write {name}: {reason}. Choose another place.")


def _pictures(folder: Path) -> tuple[Path, ...]:
    try:
        found = list_pictures(folder)
    except OSError as error:
        raise JobError(f"Cannot look into {folder}: {error.strerror or error}. Check its rights.") from error
    if not found.pictures:
        raise JobError(
            f"{folder} holds no pictures; expected files that end in {', '.join(readable_suffixes())}. Check the path."
        )
    warn_of_others(found.others, folder)
    return found.pictures


def name_results(sources: Sequence[Path], out: Path) -> list[EditJob]:
    """Name results as their sources; those that would be written to one file keep their sources' endings too.

    Not every disk tells names apart that differ in case alone.
    """
    jobs = [EditJob(path, out / f"{path.stem}.png") for path in sources]
    clashing = {job.source for job in _sharing(jobs, str.casefold)}
    if clashing:
        names = shortened((path.name for path in sources if path in clashing), _SHOWN)
        _LOG.warning("The names of these sources differ in their endings alone, which their results keep: %s.", names)
    return [EditJob(job.source, out / f"{job.source.name}.png") if job.source in clashing else job for job in jobs]


def _sharing(jobs: Sequence[EditJob], key: Callable[[str], str] = str) -> list[EditJob]:
    """Those of which a file has the name of another's, by a key of names."""
    names = [{key(str(path)) for path in (job.result, job.comparison)} for job in jobs]
    uses = Counter(chain.from_iterable(names))
    return [job for job, own in zip(jobs, names, strict=True) if any(uses[name] > 1 for name in own)]


def _check_suffix(result: Path) -> None:
    if result.suffix.lower() not in WRITTEN_SUFFIXES:
        raise JobError(
            f"'{result.name}' is not a picture's file name; expected it to end in one of "
            f"{', '.join(WRITTEN_SUFFIXES)}, or a folder that exists."
        )


def _check_names(jobs: list[EditJob]) -> None:
    twice = _sharing(jobs)
    if twice:
        found = " and ".join(f"'{printable(job.source.name)}'" for job in twice[:2])
        raise JobError(f"{found} would be written to one file. Give them different names.")
    sources = {Path(os.path.realpath(job.source)) for job in jobs}
    own = [path for job in jobs for path in (job.result, job.comparison) if Path(os.path.realpath(path)) in sources]
    if own:
        raise JobError(f"The result would replace a source, {own[0]}. Choose another place for results.")
