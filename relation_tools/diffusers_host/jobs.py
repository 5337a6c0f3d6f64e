"""Which pictures are to be edited, and where the results go."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from relation_core.errors import RelationAdapterError
from relation_core.weights.atomic import appearing

READ_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})
WRITTEN_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


class JobError(RelationAdapterError):
    """Pictures cannot be found, or results not be put where they shall go."""


@dataclass(frozen=True)
class EditJob:
    """One picture to be edited."""

    source: Path
    result: Path

    @property
    def comparison(self) -> Path:
        """The sheet beside the result."""
        return self.result.with_name(f"{self.result.stem}.comparison{self.result.suffix}")


def plan_jobs(source: Path, out: Path, overwrite: bool) -> tuple[list[EditJob], int]:
    """Find the sources, and name their results.

    Args:
        source: a picture, or a folder of pictures (those in its folders are left alone).
        out: the result's file; a folder for a folder of sources, or to keep the source's name.
        overwrite: whether results that are there already are made anew.

    Returns:
        The jobs, and how many are left out because their results are there.

    Raises:
        JobError: there are no sources, a result's name is no picture's or two sources', or it is taken.
    """
    if source.is_dir():
        jobs = [EditJob(path, out / f"{path.stem}.png") for path in _pictures(source)]
        if out.is_file() or out.suffix.lower() in READ_SUFFIXES:
            raise JobError(f"{source} is a folder, and {out} names a file; expected a folder for the results.")
    elif source.is_file():
        jobs = [EditJob(source, out / f"{source.stem}.png" if out.is_dir() else out)]
        _check_suffix(jobs[0].result)
    else:
        raise JobError(f"There is nothing at {source}; expected a picture, or a folder of pictures. Check the path.")
    _check_names(jobs)
    left = jobs if overwrite else [job for job in jobs if not job.result.exists()]
    if not left and not source.is_dir():
        raise JobError(f"{jobs[0].result} exists already. Choose another name, or add --overwrite to replace it.")
    return left, len(jobs) - len(left)


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write a picture whole or not at all, in the format that its name ends in.

    Raises:
        JobError: it cannot be written.
    """
    kind = Image.registered_extensions()[path.suffix.lower()]
    options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with appearing(path) as unfinished:
            picture.save(unfinished, format=kind, **options)
    except OSError as error:
        raise JobError(f"Cannot write {path}: {error.strerror or error}. Choose another place.") from error


def _pictures(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in READ_SUFFIXES and path.is_file())
    if not found:
        raise JobError(
            f"{folder} holds no pictures; expected files that end in {', '.join(sorted(READ_SUFFIXES))}. Check the "
            "path."
        )
    return found


def _check_suffix(result: Path) -> None:
    if result.suffix.lower() not in WRITTEN_SUFFIXES:
        raise JobError(
            f"'{result.name}' does not end as a picture's name; expected one of {', '.join(WRITTEN_SUFFIXES)}, or a "
            "folder that exists."
        )


def _check_names(jobs: list[EditJob]) -> None:
    names = Counter(path for job in jobs for path in (job.result, job.comparison))
    twice = [path for path, uses in names.items() if uses > 1]
    if twice:
        raise JobError(f"Two sources would both be written to {twice[0]}. Give them different names.")
    sources = {job.source.resolve() for job in jobs}
    own = [path for path in names if path.resolve() in sources]
    if own:
        raise JobError(f"The result would replace a source, {own[0]}. Choose another place for results.")
