"""What the pictures of the help pages show, drawn node by node."""

from __future__ import annotations

import random
from collections.abc import Callable

from PIL import Image, ImageDraw, ImageOps

from relation_core.flux.refreshes import Refreshes
from relation_core.flux.schedule import relation_sigmas
from relation_core.keeping.keep import keep_unedited
from relation_core.pictures.comparison import comparison_sheet
from relation_core.pictures.tensors import from_pil, to_pil
from relation_core.scenes.examples import draw_example

from .drawing import FAINT, FINE, INK, ORANGE, TEAL, WHITE, Box, Sheet, photographs

WIDTH, HEIGHT, SIDE = 800, 300, 200
TOP = 40
"""Where photographs begin."""
PHOTOS = photographs(SIDE)


def load_relation_adapter() -> Sheet:
    """Two files become one adapter."""
    sheet = Sheet(WIDTH, HEIGHT)
    for x, folder, name in (
        (40, "models/relation_adapter", "ip_adapter-100000.bin"),
        (300, "models/clip_vision", "sigclip_vision_patch14_384"),
    ):
        sheet.file((x + 80, 80, x + 160, 190), name)
        sheet.text((x + 120, 50), folder, 18, FAINT)
    sheet.arrow((520, 135), (575, 135))
    sheet.chip((685, 135), "relation_adapter", size=20)
    return sheet


def relation_exemplar_encode() -> Sheet:
    """A pair becomes a relation."""
    sheet = Sheet(WIDTH, HEIGHT)
    _photo(sheet, "A", 40, "before")
    _photo(sheet, "A'", 280, "after")
    sheet.arrow((505, 140), (575, 140))
    sheet.chip((675, 140), "relation")
    return sheet


def relation_source_encode() -> Sheet:
    """Source and target lie side by side in the model, and places that correspond share a position."""
    sheet = Sheet(WIDTH, HEIGHT)
    _photo(sheet, "B", 40, "source")
    sheet.arrow((255, 140), (310, 140))
    noise, left = random.Random(0), 330  # noqa: S311 - a picture of noise
    grey = Image.new("L", (25, 25))
    grey.putdata([noise.randrange(70, 190) for _ in range(25 * 25)])
    sheet.photograph(
        grey.resize((FINE * SIDE, FINE * SIDE), Image.Resampling.NEAREST).convert("RGB"),
        (left, TOP, left + SIDE, TOP + SIDE),
        "target, noise",
    )
    _photo(sheet, "B", 570, "source, clean")
    for x in (left, 570):
        for part in range(1, 4):
            step = part * SIDE / 4
            sheet.line([(x + step, TOP), (x + step, TOP + SIDE)], WHITE, 1)
            sheet.line([(x, TOP + step), (x + SIDE, TOP + step)], WHITE, 1)
    cells = [(x + SIDE * 5 / 8, TOP + SIDE * 3 / 8) for x in (left, 570)]
    for x, y in cells:
        sheet.panel((x - 25, y - 25, x + 25, y + 25), line=ORANGE, radius=4)
    sheet.line([(cells[0][0] + 25, cells[0][1]), (cells[1][0] - 25, cells[1][1])], ORANGE, 2.5)
    return sheet


def apply_relation_adapter() -> Sheet:
    """The relation acts in every block of the model."""
    sheet = Sheet(WIDTH, HEIGHT)
    _photo(sheet, "B", 20, "source")
    _photo(sheet, "B'", 580, "result (sketch)")
    sheet.panel((290, 90, 510, 240), WHITE, TEAL)
    for index in range(12):
        x = 307 + 15.8 * index
        colour = TEAL if index < 4 else ORANGE
        sheet.panel((x, 110, x + 11, 190), colour, radius=3)
        sheet.line([(x + 5.5, 66), (x + 5.5, 106)], FAINT, 1.5)
    sheet.text((400, 215), "FLUX.1", 24)
    sheet.chip((400, 45), "relation", size=20)
    sheet.arrow((225, 150), (282, 150))
    sheet.arrow((515, 150), (572, 150))
    return sheet


def relation_scheduler() -> Sheet:
    """Noise levels over 24 steps, for two sizes."""
    sheet = Sheet(WIDTH, HEIGHT)
    left, right, top, bottom = 90, 560, 30, 240
    sheet.line([(left, top), (left, bottom), (right, bottom)], INK, 2)
    for value, place in ((1, top), (0, bottom)):
        sheet.text((left - 22, place), str(value), 20)
    sheet.text(((left + right) / 2, bottom + 30), "24 steps", 20)
    for side, colour, name in ((512, TEAL, "512 x 512"), (1024, ORANGE, "1024 x 1024")):
        sigmas = relation_sigmas(24, (side // 16) ** 2).tolist()
        points = [(left + (right - left) * i / 24, bottom - (bottom - top) * s) for i, s in enumerate(sigmas)]
        sheet.line(points, colour)
        y = 80 if side == 512 else 130
        sheet.line([(600, y), (640, y)], colour)
        sheet.text((655, y), name, 20, anchor="lm")
    return sheet


def relation_source_reuse() -> Sheet:
    """The target is computed at every step, the source at some."""
    sheet, steps = Sheet(WIDTH, HEIGHT), 12
    refreshed = Refreshes(3, relation_sigmas(steps, 1024).tolist()).steps()
    for row, (y, name, colour) in enumerate(((95, "target", TEAL), (190, "source", ORANGE))):
        sheet.text((40, y), name, 24, anchor="lm")
        for step in range(steps):
            left = 150 + 51 * step
            there = row == 0 or step in refreshed
            sheet.panel((left, y - 30, left + 41, y + 30), colour if there else None, colour if there else FAINT)
            if not there:
                sheet.line([(left - 10, y), (left + 41, y)], FAINT, 2.5)
    sheet.text((450, 262), "steps: the source is computed at some, and reused in between", 20, FAINT)
    return sheet


def relation_keep() -> Sheet:
    """A local edit with noise is put back on its source."""
    source = PHOTOS["B"]
    box = tuple(side * share // 8 for side, share in zip(source.size * 2, (2, 2, 6, 6), strict=True))
    spot = Image.new("L", source.size)
    ImageDraw.Draw(spot).ellipse(box, fill=255)
    edited = Image.composite(ImageOps.invert(source), source, spot)
    noisy = Image.blend(edited, Image.effect_noise(source.size, 90).convert("RGB"), 0.12)
    kept = keep_unedited(from_pil(source), from_pil(noisy))
    sheet = Sheet(WIDTH, HEIGHT)
    mask = Image.fromarray(kept.mask[0].mul(255).byte().numpy()).convert("RGB")
    pictures = (source, noisy, to_pil(kept.image)[0], mask)
    for index, (picture, label) in enumerate(zip(pictures, ("source", "result", "image", "mask"), strict=True)):
        left = 20 + 190 * index + (20 if index > 1 else 0)
        sheet.photograph(picture, (left, TOP, left + 170, TOP + 170), label)
    return sheet


def blend_relations() -> Sheet:
    """One edit between two, or both side by side."""
    sheet = Sheet(WIDTH, HEIGHT)
    red, green, blue = ((a + b) // 2 for a, b in zip(TEAL, ORANGE, strict=True))
    for y, name in ((80, "average"), (220, "concat")):
        sheet.chip((130, y - 28), "relation_1", TEAL, 18)
        sheet.chip((130, y + 28), "relation_2", ORANGE, 18)
        sheet.arrow((230, y), (300, y))
        sheet.text((350, y), name, 22, anchor="lm")
        sheet.arrow((450, y), (520, y))
    sheet.chip((630, 80), "relation", (red, green, blue))
    sheet.panel((555, 195, 630, 245), TEAL, radius=25)
    sheet.panel((630, 195, 705, 245), ORANGE, radius=25)
    sheet.panel((600, 195, 630, 245), TEAL, radius=0)
    sheet.panel((630, 195, 660, 245), ORANGE, radius=0)
    sheet.text((630, 220), "relation", 24, WHITE)
    return sheet


def save_relation() -> Sheet:
    """A relation becomes a file that shows its pair."""
    sheet = Sheet(WIDTH, HEIGHT)
    sheet.chip((180, 140), "relation")
    sheet.arrow((280, 140), (390, 140))
    _relation_file(sheet, 430)
    return sheet


def load_relation() -> Sheet:
    """The file becomes the relation again."""
    sheet = Sheet(WIDTH, HEIGHT)
    _relation_file(sheet, 90)
    sheet.arrow((410, 140), (520, 140))
    sheet.chip((630, 140), "relation")
    return sheet


def split_image_pair() -> Sheet:
    """One wide picture becomes two."""
    sheet = Sheet(WIDTH, HEIGHT)
    wide = Image.new("RGB", (2 * FINE * SIDE, FINE * SIDE))
    wide.paste(PHOTOS["A"], (0, 0))
    wide.paste(PHOTOS["A'"], (FINE * SIDE, 0))
    sheet.photograph(wide, (20, 70, 340, 230), "image")
    for y in range(58, 232, 14):
        sheet.line([(180, y), (180, y + 8)], ORANGE, 3)
    sheet.arrow((355, 150), (420, 150))
    sheet.photograph(PHOTOS["A"], (440, 70, 600, 230), "before")
    sheet.photograph(PHOTOS["A'"], (620, 70, 780, 230), "after")
    return sheet


def relation_comparison() -> Sheet:
    """What the node itself draws."""
    row = comparison_sheet([PHOTOS[name].reduce(FINE) for name in ("A", "A'", "B", "B'")])
    height = WIDTH * row.height // row.width
    sheet = Sheet(WIDTH, height, WHITE)
    sheet.photograph(row, (0, 0, WIDTH, height))
    return sheet


def load_relation_sample() -> Sheet:
    """One line of a file becomes pictures and words."""
    sheet = Sheet(WIDTH, HEIGHT)
    sheet.file((40, 40, 210, 240), "test.jsonl")
    for index in range(6):
        y = 95 + 24 * index
        sheet.line([(60, y), (190, y)], ORANGE if index == 2 else FAINT, 7 if index == 2 else 4)
    sheet.arrow((225, 143), (285, 143))
    for index, (name, label) in enumerate((("A", "before"), ("A'", "after"), ("B", "source"), ("B'", "target"))):
        left = 305 + 122 * index
        sheet.photograph(PHOTOS[name], (left, 60, left + 110, 170), label)
    sheet.panel((305, 215, 781, 265), WHITE, FAINT)
    sheet.text((543, 240), "Turn the picture into a pencil drawing.", 20)
    return sheet


def relation_empty_prompt() -> Sheet:
    """A page without words becomes zeros."""
    sheet = Sheet(WIDTH, HEIGHT)
    sheet.chip((120, 140), "model", ORANGE)
    sheet.arrow((205, 140), (275, 140))
    for index in range(12):
        left = 300 + 24 * index
        sheet.panel((left, 118, left + 20, 162), WHITE, FAINT, radius=3)
        sheet.text((left + 10, 140), "0", 18, FAINT)
    sheet.text((442, 195), "no text", 20, FAINT)
    sheet.arrow((600, 140), (640, 140))
    sheet.chip((720, 140), "conditioning", size=18)
    return sheet


def load_small_relation_model() -> Sheet:
    """A few small files become all that an edit needs."""
    sheet = Sheet(WIDTH, HEIGHT)
    sheet.file((90, 60, 230, 220), "small_model, 23 MB")
    for y, name, colour in ((60, "model", ORANGE), (140, "vae", TEAL), (220, "relation_adapter", TEAL)):
        sheet.arrow((290, 140), (430, y))
        sheet.chip((570, y), name, colour, 20)
    return sheet


def tune_relation() -> Sheet:
    """Pairs become a relation, and the loss falls."""
    sheet = Sheet(WIDTH, HEIGHT)
    for index in (2, 1, 0):
        left, top = 30 + 14 * index, 50 + 14 * index
        sheet.photograph(PHOTOS["A"], (left, top, left + 150, top + 150))
        sheet.photograph(PHOTOS["A'"], (left + 180, top, left + 330, top + 150))
    sheet.arrow((410, 140), (470, 140))
    sheet.chip((580, 70), "relation")
    sheet.panel((500, 120, 760, 260), WHITE, FAINT)
    sheet.line([(520 + 10 * x, 235 - 90 * 0.86**x) for x in range(23)], TEAL, 4)
    sheet.text((690, 150), "curve", 20, FAINT)
    return sheet


def relation_example() -> Sheet:
    """What the node draws."""
    sheet = Sheet(WIDTH, HEIGHT)
    for index, (picture, label) in enumerate(
        zip(draw_example("evening", 0, 1), ("before", "after", "source", "target"), strict=True)
    ):
        left = 20 + 195 * index
        sheet.photograph(picture, (left, 50, left + 175, 225), label)
    return sheet


def _photo(sheet: Sheet, name: str, left: float, label: str) -> None:
    box: Box = (left, TOP, left + SIDE, TOP + SIDE)
    sheet.photograph(PHOTOS[name], box, f"{name}  {label}")


def _relation_file(sheet: Sheet, left: float) -> None:
    sheet.file((left, 30, left + 280, 230), "relation_00001_.safetensors")
    sheet.photograph(PHOTOS["A"], (left + 25, 85, left + 135, 195))
    sheet.photograph(PHOTOS["A'"], (left + 145, 85, left + 255, 195))


PICTURES: dict[str, Callable[[], Sheet]] = {
    "LoadRelationAdapter": load_relation_adapter,
    "RelationExemplarEncode": relation_exemplar_encode,
    "RelationSourceEncode": relation_source_encode,
    "ApplyRelationAdapter": apply_relation_adapter,
    "RelationScheduler": relation_scheduler,
    "RelationSourceReuse": relation_source_reuse,
    "RelationKeep": relation_keep,
    "BlendRelations": blend_relations,
    "SaveRelation": save_relation,
    "LoadRelation": load_relation,
    "TuneRelation": tune_relation,
    "SplitImagePair": split_image_pair,
    "RelationComparison": relation_comparison,
    "LoadRelationSample": load_relation_sample,
    "RelationEmptyPrompt": relation_empty_prompt,
    "LoadSmallRelationModel": load_small_relation_model,
    "RelationExample": relation_example,
}
