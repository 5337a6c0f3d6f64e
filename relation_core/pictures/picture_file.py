"""The one place that opens picture files."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import ExemplarError, PictureError, printable
from ..files.regular_file import open_regular
from .opaque import opaque

MAX_PIXELS = 1 << 26
"""67 megapixels. A small file can claim any size, and Pillow's own limit still allows several gigabytes."""
MAX_BYTES = 8 * MAX_PIXELS + (1 << 20)
"""No picture of that many pixels needs more."""
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "AVIF")
"""Pillow's names. Others are left out on purpose: an EPS file, for one, is a program that Ghostscript would run."""
_READABLE = "a PNG, JPEG, WebP, BMP, TIFF, GIF or AVIF picture"


@dataclass(frozen=True)
class PictureFile:
    """A decoded picture and facts about its file."""

    pixels: Image.Image
    """The first frame, RGB and the right way up."""
    format: str
    """Pillow's name, such as JPEG; MPO for a JPEG with several pictures."""
    several: bool
    """Whether the file has further frames."""


def read_picture(path: Path) -> Image.Image:
    """Read a picture file (its first frame), RGB and the right way up; alpha is composited on white.

    Raises:
        PictureError: it is missing, no regular file, damaged, too large, or of a format that is not read.
    """
    return read_picture_file(path).pixels


def read_picture_file(path: Path) -> PictureFile:
    """Read a picture as :func:`read_picture` does, with its format.

    Raises:
        PictureError: as there.
    """
    with _opened(path) as file:
        return _decode(file, _shown(path))


def read_picture_bytes(path: Path) -> bytes:
    """Read a picture file as it is, for :func:`decode_picture`.

    Raises:
        PictureError: it is missing, no regular file, or too large.
    """
    with _opened(path) as file:
        return file.read(MAX_BYTES + 1)


def decode_picture(data: bytes, name: str) -> Image.Image:
    """Decode a picture from bytes, as :func:`read_picture` does.

    Args:
        data: the file's contents.
        name: what to call it in messages, such as "the result of sample 3".

    Raises:
        PictureError: it is damaged, too large, or of a format that is not read.
    """
    if len(data) > MAX_BYTES:
        raise PictureError(
            name, f"it has {len(data) / 1e6:,.0f} MB; expected at most {MAX_BYTES / 1e6:,.0f} MB", "Shrink it first."
        )
    return _decode(BytesIO(data), name).pixels


@lru_cache(maxsize=1)
def readable_suffixes() -> tuple[str, ...]:
    """The file extensions that this Pillow can read, in lower case and sorted."""
    formats = {*_formats(), "MPO"}
    return tuple(sorted(suffix for suffix, kind in Image.registered_extensions().items() if kind in formats))


@lru_cache(maxsize=1)
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _opened(path: Path) -> BinaryIO:
    try:
        return open_regular(path, MAX_BYTES)
    except OSError as error:
        raise PictureError(_shown(path), error.strerror or str(error), "Check the path.") from error
    except ValueError as error:  # a name with a null byte in it
        raise PictureError(_shown(path), str(error), "Check the path.") from error


def _shown(path: Path) -> str:
    return f"the picture '{printable(str(path))}'"


def _decode(file: BinaryIO, name: str) -> PictureFile:
    try:
        with closing(Image.open(file, formats=_formats())) as picture:
            width, height = picture.size
            if width * height > MAX_PIXELS:
                raise _too_many_pixels(name, f"{width} x {height}")
            kind, several = picture.format or "", bool(getattr(picture, "is_animated", False))
            picture.load()
            ImageOps.exif_transpose(picture, in_place=True)
            return PictureFile(opaque(picture), kind, several)
    except PictureError:
        raise
    except Image.DecompressionBombError as error:  # Pillow has a limit too, of more
        raise _too_many_pixels(name, "too many") from error
    except UnidentifiedImageError as error:
        reason = "the file is not a picture of a known format"
        raise PictureError(name, reason, f"Expected {_READABLE}: convert it first.") from error
    except ExemplarError as error:
        raise PictureError(name, str(error).rstrip("."), "Convert it first.") from error
    except Exception as error:  # a decoder that meets damaged data raises whatever it runs into
        said = printable(str(error).rstrip(".") or type(error).__name__)
        raise PictureError(name, said, f"Expected {_READABLE}, whole: download the file again.") from error


def _too_many_pixels(name: str, found: str) -> PictureError:
    return PictureError(name, f"it has {found} pixels; expected at most {MAX_PIXELS:,} in all", "Shrink it first.")
