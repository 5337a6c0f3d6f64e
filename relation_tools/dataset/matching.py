"""Makes halves of two pictures, before and after."""

from __future__ import annotations

from PIL import Image

from relation_core.errors import ExemplarError

from .cutting import SMALLEST, Halves

_MOST_UNLIKE = 0.01
"""Share of its height by which a picture may miss the other's shape; one pixel is always allowed."""


def match(before: Image.Image, after: Image.Image) -> Halves:
    """Give two RGB pictures one size: where they differ in size alone, the larger one is reduced to the smaller.

    Raises:
        ExemplarError: one is too small, or they differ in shape, so that nothing tells what lies where in the other.
    """
    for name, picture in (("before", before), ("after", after)):
        if min(picture.size) < SMALLEST:
            raise ExemplarError(
                f"the picture {name} is {_shown(picture)} pixels; expected at least {SMALLEST}x{SMALLEST}"
            )
    notes: tuple[str, ...] = ()
    if before.size != after.size:
        small, large = sorted((before, after), key=lambda picture: picture.width * picture.height)
        expected = large.height * small.width / large.width
        if abs(expected - small.height) > max(1.0, _MOST_UNLIKE * small.height):
            raise ExemplarError(
                f"the pictures are {_shown(before)} and {_shown(after)} pixels, which are two shapes; expected "
                "pictures of one size, or of one shape"
            )
        notes = (f"the pictures are {_shown(before)} and {_shown(after)} pixels; the larger one was reduced",)
        before, after = (
            picture if picture is small else picture.resize(small.size, Image.Resampling.LANCZOS)
            for picture in (before, after)
        )
    if before.tobytes() == after.tobytes():
        notes = (*notes, "both pictures are identical")
    return Halves(before, after, notes)


def _shown(picture: Image.Image) -> str:
    return f"{picture.width}x{picture.height}"
