"""Leads wires around nodes: the points at which the page bends those that would run under a node.

A wire that would be hidden goes to a free height, along it, and on to its input, over two of the page's own reroutes,
or over three where the way to that height is long and narrow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float]
Way = tuple[Point, ...]
"""A start, bends, and an end."""
Rectangle = tuple[float, float, float, float]
"""Left, top, right and bottom."""
Numbers = NDArray[np.float64]

SAMPLES = 48
"""Points of a curve between two reroutes."""
LONGEST_HANDLE, HANDLE = 20.0, 0.25
"""How the page bends wires: a handle is a quarter of the distance, and at a reroute at most so long."""
BESIDE = (16, 24, 32, 44, 56)
"""Pixels from a node's edge at which a wire may turn."""
STEP, BEYOND = 8, 80
"""Pixels between the heights that are tried, and how far above and below all nodes they go."""
NARROW = (20, 30, 40)
"""Pixels above or below a socket at which a wire turns into a narrow way."""
CLEAR = 10
"""Pixels between a wire and a node that it does not belong to."""
SEEN = 4
"""Pixels of a wire that may come closer to a node's corner."""
LANE = 10
"""Pixels between wires that run beside each other."""
HIDDEN, BEHIND_WORDS, BEHIND_OWN, TOGETHER = 40.0, 10.0, 6.0, 300.0
"""Costs, in pixels of length: of a pixel under a foreign node, a group's title and the wire's own nodes, and of two
wires of different outputs on one line."""


@dataclass(frozen=True)
class Wire:
    """A link and the places of its two sockets."""

    source: str
    """Key of the node it comes from."""
    output: str
    target: str
    """Key of the node it goes to."""
    start: Point
    end: Point

    @property
    def name(self) -> str:
        """Of its output: wires of one output may run together."""
        return f"{self.source}.{self.output}"


@dataclass
class _Lanes:
    """Heights that wires already run along."""

    taken: list[tuple[float, float, float, str]] = field(default_factory=list[tuple[float, float, float, str]])
    """Height, left end, right end, and output."""

    def costs(self, paths: Numbers, output: str) -> Numbers:
        """What the paths pay for sharing a height with a wire of another output, (N,)."""
        left, right, height = paths[:, -3, 0], paths[:, -2, 0], paths[:, -2, 1]
        cost = np.zeros(len(paths))
        for taken, start, end, other in self.taken:
            together = (abs(height - taken) < LANE) & (np.minimum(right, end) > np.maximum(left, start))
            cost += TOGETHER * (together & (other != output))
        return cost


def lead_around(
    wires: Sequence[Wire], nodes: Mapping[str, Rectangle], words: Sequence[Rectangle]
) -> dict[int, list[Point]]:
    """Find the bends of the wires that would run under nodes.

    Args:
        wires: all of the graph's.
        nodes: what nodes cover, titles included, by key.
        words: what titles of groups cover.

    Returns:
        By a wire's index, the points it bends at.
    """
    lanes, bends = _Lanes(), dict[int, list[Point]]()
    for index in sorted(range(len(wires)), key=lambda index: wires[index].end[0] - wires[index].start[0]):
        wire = wires[index]
        foreign = _foreign(wire, nodes)
        if _under(np.array([[wire.start, wire.end]]), foreign)[0] <= SEEN:
            continue
        best = _cheapest(_wide(wire, nodes), wire, nodes, words, lanes)
        if _under(best[None], foreign)[0] > SEEN:
            best = _cheapest(_narrow(wire, nodes), wire, nodes, words, lanes)
        lanes.taken.append((best[-2, 1], best[-3, 0], best[-2, 0], wire.name))
        bends[index] = [(float(x), float(y)) for x, y in best[1:-1]]
    return bends


def _cheapest(
    ways: Iterator[Way],
    wire: Wire,
    nodes: Mapping[str, Rectangle],
    words: Sequence[Rectangle],
    lanes: _Lanes,
) -> Numbers:
    paths = np.array(list(ways))
    return paths[np.argmin(_costs(paths, wire, nodes, words) + lanes.costs(paths, wire.name))]


def _foreign(wire: Wire, nodes: Mapping[str, Rectangle]) -> list[Rectangle]:
    return [
        (left - CLEAR, top - CLEAR, right + CLEAR, bottom + CLEAR)
        for key, (left, top, right, bottom) in nodes.items()
        if key not in (wire.source, wire.target)
    ]


def _wide(wire: Wire, nodes: Mapping[str, Rectangle]) -> Iterator[Way]:
    """Every way over a free height, with turns beside the two nodes."""
    highest, lowest = min(box[1] for box in nodes.values()), max(box[3] for box in nodes.values())
    starts = [nodes[wire.source][2] + aside for aside in BESIDE]
    ends = [nodes[wire.target][0] - aside for aside in BESIDE]
    for height in range(int(highest) - BEYOND, int(lowest) + BEYOND, STEP):
        for x1 in starts:
            for x2 in ends:
                yield wire.start, (x1, height), (x2, height), wire.end


def _narrow(wire: Wire, nodes: Mapping[str, Rectangle]) -> Iterator[Way]:
    """The same ways, with a turn close to the output, so that the wire does not swing out."""
    for start, turn, last, end in _wide(wire, nodes):
        for away in NARROW:
            yield start, (turn[0], start[1] + (away if turn[1] > start[1] else -away)), turn, last, end


def _costs(paths: Numbers, wire: Wire, nodes: Mapping[str, Rectangle], words: Sequence[Rectangle]) -> Numbers:
    """What each of the paths (N, K, 2) costs, (N,)."""
    own = [nodes[wire.source], nodes[wire.target]]
    length = np.linalg.norm(np.diff(paths, axis=1), axis=-1).sum(1)
    return (
        length
        + HIDDEN * _under(paths, _foreign(wire, nodes))
        + BEHIND_WORDS * _under(paths, words)
        + BEHIND_OWN * _under(paths, own)
    )


def _under(paths: Numbers, boxes: Sequence[Rectangle]) -> Numbers:
    """Pixels of the paths (N, K, 2) within the boxes, (N,)."""
    drawn = curves(paths)
    steps = np.linalg.norm(np.diff(drawn, axis=1), axis=-1)
    x, y = drawn[:, 1:, 0], drawn[:, 1:, 1]
    inside = np.zeros(x.shape, dtype=bool)
    for left, top, right, bottom in boxes:
        inside |= (left < x) & (x < right) & (top < y) & (y < bottom)
    return (steps * inside).sum(1)


def curves(paths: Numbers) -> Numbers:
    """What the page draws for wires over reroutes: points on the curves, (N, K, 2) to (N, samples, 2)."""
    away = np.diff(paths, axis=1)  # (N, K-1, 2): from each point to the next
    distance = np.linalg.norm(away, axis=-1, keepdims=True)
    angle = np.arctan2(away[..., 1], away[..., 0])
    turn = (angle[:, :-1] - angle[:, 1:]) * 0.5  # a reroute's direction lies between that to it and that from it
    turn = np.where(abs(turn) > np.pi * 0.5, turn + np.pi, turn)
    along = angle[:, :-1] - turn
    heading = np.stack([np.cos(along), np.sin(along)], -1)  # (N, K-2, 2)
    handle = np.minimum(LONGEST_HANDLE, distance * HANDLE)
    forward = np.concatenate([np.zeros_like(away[:, :1]), heading * handle[:, 1:]], 1)
    backward = np.concatenate([heading * handle[:, :-1], np.zeros_like(away[:, :1])], 1)
    forward[:, 0, 0] = backward[:, -1, 0] = 0
    forward[:, 0, 0], backward[:, -1, 0] = distance[:, 0, 0] * HANDLE, distance[:, -1, 0] * HANDLE
    t = np.linspace(0, 1, SAMPLES)[None, None, :, None]
    a, d = paths[:, :-1, None], paths[:, 1:, None]
    b, c = a + forward[:, :, None], d - backward[:, :, None]
    points = (1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * b + 3 * (1 - t) * t**2 * c + t**3 * d
    return points.reshape(len(paths), -1, 2)
