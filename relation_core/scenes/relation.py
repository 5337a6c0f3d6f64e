"""Relations between pictures: one or two steps, each with its family and parameter."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from .families import BY_NAME, FAMILIES, Family
from .landscape import Landscape
from .painting import paint

_ORDER = [family.name for family in FAMILIES]


@dataclass(frozen=True)
class Step:
    """An edit with its parameter."""

    name: str
    """Of its family."""
    value: float = 0.0
    """Its parameter; 0 where the family has none."""

    @property
    def family(self) -> Family:
        """Its family."""
        return BY_NAME[self.name]

    @property
    def has_value(self) -> bool:
        """Whether its family has a parameter."""
        return self.family.parameter.kind != "none"

    @property
    def text(self) -> str:
        """Name and parameter, as a folder may be called."""
        return f"{self.name}_{self.value:g}" if self.has_value else self.name

    @property
    def instruction(self) -> str:
        """What it does, in words."""
        return self.family.instruction.format(f"{self.value:g} {self.family.parameter.unit}".strip())


@dataclass(frozen=True)
class PaintedEdit:
    """An edit of any landscape."""

    steps: tuple[Step, ...]
    """One, or two of families that can be composed, in the order of :data:`FAMILIES`."""

    @property
    def name(self) -> str:
        """Its steps, as a folder may be called."""
        return "+".join(step.text for step in self.steps)

    @property
    def families(self) -> tuple[str, ...]:
        """Names of its families."""
        return tuple(step.name for step in self.steps)

    @property
    def instruction(self) -> str:
        """What it does, in words."""
        return " ".join(step.instruction for step in self.steps)

    def fits(self, scene: Landscape) -> bool:
        """Whether it can be seen on a landscape: a boat needs a lake."""
        return scene.lake is not None or not any(step.family.needs_lake for step in self.steps)

    def apply(self, scene: Landscape) -> Image.Image:
        """Paint the edited landscape."""
        for step in self.steps:
            if step.family.of_scene is not None:
                scene = step.family.of_scene(scene, step.value)
        picture = paint(scene)
        for step in self.steps:
            if step.family.of_picture is not None:
                picture = step.family.of_picture(picture, step.value)
        return picture


def relation_of(*steps: Step) -> PaintedEdit:
    """Make a relation of steps, in the order in which they act."""
    return PaintedEdit(tuple(sorted(steps, key=lambda step: _ORDER.index(step.name))))


def can_be_composed(first: Family, second: Family) -> bool:
    """Whether two families change different things, so that both can be seen in one picture."""
    return first != second and not first.touches & second.touches
