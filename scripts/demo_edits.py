"""The edits that both demos show, and how many results are right."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from relation_tools.training.landscape_questions import example_candidates

EDITS = (
    "sky_orange",
    "sky_violet",
    "houses_red",
    "evening",
    "night",
    "snow",
    "autumn",
    "fog",
    "flood",
    "balloon",
    "remove_trees",
    "mirror",
    "flip",
    "hues",
    "autumn_and_frame",
    "sky_magenta_unseen",
)


def scenes_of(number: int) -> tuple[int, int]:
    """The scenes, exemplar and source, that an edit of the demo is shown on."""
    return 2 * number, 2 * number + 1


def verdict(results: Sequence[tuple[str, Image.Image]]) -> str:
    """Say how many results, named by their edits and in their order, are right, and which are not."""
    wrong: list[str] = []
    for number, (name, result) in enumerate(results):
        possible = example_candidates(name, scenes_of(number)[1])
        if not possible.is_right_picture(result):
            wrong.append(name)
    among = "nearer to their target than to the source and to 44 other edits of it, most of them similar"
    missed = f" Not so: {', '.join(wrong)}." if wrong else ""
    return f"{len(results) - len(wrong)} of {len(results)} results are right: {among}.{missed}"
