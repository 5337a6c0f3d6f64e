"""Split all pictures of a dataset into halves on disk, in several processes, resumably."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from hashlib import blake2b
from io import BytesIO
from pathlib import Path

from PIL import Image

from relation_core.errors import DatasetError, ExemplarError, PictureError
from relation_core.pictures.picture_file import PictureFile, read_picture_file
from relation_core.progress import Progress
from relation_core.weights.atomic import write_whole

from ..ending import uninterrupted
from ..workers import divided
from .halves import split_halves
from .matching import match
from .outcomes import Folders, Outcome, SplitJob, record_chunk, recorded_chunk

SUFFIXES = {"JPEG": ".jpg", "PNG": ".png"}
CHUNK = 64
"""Pictures whose outcomes are recorded together: the most that each process repeats after a kill. After a request to
end it repeats none."""

Chunk = tuple[int, Sequence[SplitJob]]
"""Pictures that are split together, with their number."""
Divide = Callable[
    [Sequence[Chunk], Callable[[], Callable[[list[Chunk]], list[list[Outcome]]]]],
    Iterator[tuple[Chunk, list[Outcome]]],
]
"""Has chunks split by other machines: takes the chunks, and what makes a machine ready for some."""


def split_all(
    jobs: Sequence[SplitJob], folders: Folders, processes: int, progress: Progress, divide: Divide | None = None
) -> list[Outcome]:
    """Split every picture and return the outcomes in the order of the jobs.

    Args:
        jobs: pictures, none twice.
        folders: where from and where to.
        processes: how many to work in; with 1 it is this one.
        progress: told of every picture.
        divide: has the work done by other machines, in place of ``processes``.

    Raises:
        DatasetError: the results cannot be written. Finished work is kept, here and below.
        WorkerDiedError: one of the processes was killed.
    """
    chunks = [jobs[start : start + CHUNK] for start in range(0, len(jobs), CHUNK)]
    progress.start(len(jobs))
    done: dict[int, list[Outcome]] = {}
    waiting: list[int] = []
    for index, chunk in enumerate(chunks):
        recorded = recorded_chunk(folders, index, chunk)
        if len(recorded) < len(chunk):
            waiting.append(index)
        else:
            done[index] = recorded
            _step(progress, len(chunk))
    some = [(index, chunks[index]) for index in waiting]
    if divide is None:
        splitting = divided([partial(split_chunk, folders=folders)] * processes, some)
    else:
        splitting = nullcontext(divide(some, partial(_splitter, folders)))
    try:
        with splitting as found:
            for (index, _), outcomes in found:
                done[index] = outcomes
                _step(progress, len(outcomes))
    except OSError as error:
        raise DatasetError(
            f"Cannot write to '{folders.out}': {error}. Free some disk space there and run again."
        ) from error
    return [outcome for index in range(len(chunks)) for outcome in done[index]]


def _step(progress: Progress, count: int) -> None:
    for _ in range(count):
        progress.step()


def _splitter(folders: Folders) -> Callable[[list[Chunk]], list[list[Outcome]]]:
    """Make another machine ready to split chunks.

    Raises:
        DatasetError: the results cannot be written.
    """

    def split(chunks: list[Chunk]) -> list[list[Outcome]]:
        try:
            return [split_chunk(one, folders) for one in chunks]
        except OSError as error:
            raise DatasetError(
                f"A worker cannot write to '{folders.out}': {error}. Expected a folder that all machines share."
            ) from error

    return split


def split_chunk(one: Chunk, folders: Folders) -> list[Outcome]:
    """Split the pictures of a chunk that are left, then record their outcomes, also where it is cut short."""
    index, chunk = one
    outcomes = recorded_chunk(folders, index, chunk)
    try:
        for job in chunk[len(outcomes) :]:
            with uninterrupted():
                outcomes.append(_split(job, folders))
    finally:
        with uninterrupted():
            record_chunk(folders, index, chunk, outcomes)
    return outcomes


def _split(job: SplitJob, folders: Folders) -> Outcome:
    try:
        read = [_read(folders.pairs / name) for name in (job.picture, job.after) if name]
        halves = split_halves(read[0].pixels) if len(read) == 1 else match(read[0].pixels, read[1].pixels)
    except (PictureError, ExemplarError) as error:
        return Outcome(error=_reason(error))
    before, after = _encoding(read[0]), _encoding(read[-1])
    names = f"{job.halves}_before{SUFFIXES[before]}", f"{job.halves}_after{SUFFIXES[after]}"
    lengths = (
        _write(halves.before, before, folders.out / names[0]),
        _write(halves.after, after, folders.out / names[1]),
    )
    notes = ["it has several frames; the first was taken" for one in read if one.several and _encoding(one) == "PNG"]
    return Outcome(
        notes=(*notes, *halves.notes),
        before=names[0],
        after=names[1],
        bytes=lengths,
        size=halves.before.size,
        digests=(_digest(halves.before), _digest(halves.after)),
    )


def _read(path: Path) -> PictureFile:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd metadata; what matters raises
        return read_picture_file(path)


def _encoding(picture: PictureFile) -> str:
    """JPEGs stay JPEGs; everything else becomes PNG."""
    return "JPEG" if picture.format in ("JPEG", "MPO") else "PNG"


def _write(picture: Image.Image, encoding: str, path: Path) -> int:
    buffer = BytesIO()
    if encoding == "JPEG":
        picture.save(buffer, "JPEG", quality=95, subsampling=0)
    else:
        picture.save(buffer, "PNG")
    write_whole(path, buffer.getvalue(), synced=False)  # the record of the chunk knows its length
    return buffer.tell()


def _digest(picture: Image.Image) -> str:
    return blake2b(repr(picture.size).encode() + picture.tobytes(), digest_size=16).hexdigest()


def _reason(error: PictureError | ExemplarError) -> str:
    if isinstance(error, PictureError):
        return f"the picture cannot be read: {error.reason}"
    return f"the picture cannot be split: {error}"
