"""The pictures of one sample and its result, read when a score asks for them."""

from __future__ import annotations

from functools import cached_property
from hashlib import blake2b
from pathlib import Path

from PIL import Image

from relation_core.files.json_file import json_text
from relation_core.pictures.picture_file import read_picture
from relation_core.samples.samples import Sample

from .run_folder import RunFolder, pictures_digest


class SamplePictures:
    """The pictures of a sample; each attribute raises PictureError if its file cannot be read."""

    def __init__(self, sample: Sample, folder: Path, run: RunFolder) -> None:
        self._folder = folder
        self._result = run.result(sample.index)
        self.sample = sample

    def digest(self) -> str:
        """Fingerprint the files, and the captions."""
        files = pictures_digest([*(self._folder / name for name in self.sample.pictures), self._result])
        captions = json_text([self.sample.source_caption, self.sample.target_caption])
        return blake2b(f"{files} {captions}".encode(errors="surrogatepass"), digest_size=16).hexdigest()

    @cached_property
    def before(self) -> Image.Image:
        """A."""
        return read_picture(self._folder / self.sample.cond1)

    @cached_property
    def after(self) -> Image.Image:
        """A'."""
        return read_picture(self._folder / self.sample.cond2)

    @cached_property
    def source(self) -> Image.Image:
        """B."""
        return read_picture(self._folder / self.sample.source)

    @cached_property
    def target(self) -> Image.Image:
        """What the result should be."""
        return read_picture(self._folder / self.sample.target)

    @cached_property
    def result(self) -> Image.Image:
        """B'."""
        return read_picture(self._result)

    @cached_property
    def fitted_source(self) -> Image.Image:
        """The source in the result's size (Lanczos, as it is encoded)."""
        return _fitted(self.source, self.result.size, Image.Resampling.LANCZOS)

    @cached_property
    def fitted_target(self) -> Image.Image:
        """The target in the result's size (bicubic)."""
        return _fitted(self.target, self.result.size, Image.Resampling.BICUBIC)


def _fitted(picture: Image.Image, size: tuple[int, int], filter_: Image.Resampling) -> Image.Image:
    return picture if picture.size == size else picture.resize(size, filter_)
