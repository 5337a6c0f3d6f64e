"""Makes room: turns an author's sketch into places that hold in both of the page's renderers.

In a sketch, nodes with the same left edge are a column, in the order of their top edges, and so are frames. What is
computed here is how wide and how tall everything is, and so where the next thing begins.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from .template import Node, Template

TITLE, GROUP_TITLE, MARGIN = 30, 50, 20
"""Pixels: a node's title above its body, a group's title, and the space between a group's edge and its nodes."""
BETWEEN, ASIDE, APART = 24, 60, 60
"""Pixels between nodes of a column, between columns of nodes, and between columns of groups."""
STACKED = 60
"""Pixels between groups of a column: wires run there."""

Item = TypeVar("Item")
Area = tuple[int, int, int, int]
"""Left, top, width and height; of a node, its body's."""


@dataclass(frozen=True)
class Layout:
    """Where nodes and frames go."""

    nodes: dict[str, Area]
    """By key."""
    frames: dict[str, Area]
    """By title."""


@dataclass(frozen=True)
class _Block:
    """A frame with columns of nodes, or a single node outside of frames."""

    title: str
    columns: list[list[Node]]

    @property
    def margin(self) -> int:
        return MARGIN if self.title else 0

    @property
    def head(self) -> int:
        """Pixels above the first body."""
        return GROUP_TITLE + TITLE if self.title else TITLE

    @property
    def left(self) -> int:
        return min(node.box[0] for column in self.columns for node in column)

    @property
    def top(self) -> int:
        return min(node.box[1] for column in self.columns for node in column)

    @property
    def width(self) -> int:
        return sum(map(_width, self.columns)) + ASIDE * (len(self.columns) - 1) + 2 * self.margin


def arrange(template: Template, heights: Mapping[str, int], room: Mapping[str, int]) -> Layout:
    """Give everything its place.

    Args:
        template: the sketch.
        heights: of the nodes' bodies as they are saved, by key.
        room: of the nodes' bodies in the taller renderer, pictures included.
    """
    nodes: dict[str, Area] = {}
    frames: dict[str, Area] = {}
    left = 0
    for stack in _columns(_blocks(template), lambda block: (block.left, block.top)):
        width, top = max(block.width for block in stack), 0
        for block in stack:
            bottom = top
            for column, start, wide in _spread(block, left + block.margin, width):
                below = top + block.head
                for node in column:
                    nodes[node.key] = (start, below, wide, heights[node.key])
                    below += room[node.key] + BETWEEN + TITLE
                bottom = max(bottom, below - BETWEEN - TITLE + block.margin)
            if block.title:
                frames[block.title] = (left, top, width, bottom - top)
            top = bottom + STACKED
        left += width + APART
    return Layout(nodes, frames)


def _blocks(template: Template) -> Iterable[_Block]:
    nodes = {node.key: node for node in template.nodes}
    framed = {key for group in template.groups for key in group.keys}
    for group in template.groups:
        yield _Block(group.title, _columns([nodes[key] for key in group.keys], lambda node: node.box[:2]))
    for key in nodes.keys() - framed:
        yield _Block("", [[nodes[key]]])


def _columns(items: Iterable[Item], place: Callable[[Item], tuple[int, int]]) -> list[list[Item]]:
    columns: defaultdict[int, list[Item]] = defaultdict(list)
    for item in items:
        columns[place(item)[0]].append(item)
    return [sorted(columns[left], key=place) for left in sorted(columns)]


def _width(column: list[Node]) -> int:
    return max(node.box[2] for node in column)


def _spread(block: _Block, left: int, width: int) -> Iterable[tuple[list[Node], int, int]]:
    """Columns of a block with their left edges and widths; what the block lacks in width is shared out."""
    more = (width - block.width) // len(block.columns)
    for column in block.columns:
        wide = _width(column) + more
        yield column, left, wide
        left += wide + ASIDE
