"""How the shipped workflows' wires are led around nodes."""

from __future__ import annotations

import numpy as np
import pytest

from scripts.templates.wires import Rectangle, Wire, curves, lead_around

BETWEEN: Rectangle = (400, 0, 700, 300)
NODES: dict[str, Rectangle] = {"from": (0, 0, 300, 200), "between": BETWEEN, "to": (800, 0, 1100, 200)}


def covered(wire: Wire, bends: list[tuple[float, float]], box: Rectangle) -> int:
    """Points of the drawn wire that lie within the box."""
    x, y = curves(np.array([[wire.start, *bends, wire.end]]))[0].T
    left, top, right, bottom = box
    return int(((left < x) & (x < right) & (top < y) & (y < bottom)).sum())


def test_a_wire_goes_around_the_node_in_its_way() -> None:
    wire = Wire("from", "out", "to", (290, 50), (810, 70))
    bends = lead_around([wire], NODES, [])
    assert covered(wire, [], BETWEEN) > 0
    assert covered(wire, bends[0], BETWEEN) == 0


def test_a_free_wire_is_left_alone() -> None:
    assert lead_around([Wire("between", "out", "to", (690, 50), (810, 70))], NODES, []) == {}


def test_wires_of_two_outputs_run_apart() -> None:
    wires = [Wire("from", output, "to", (290, y), (810, y)) for output, y in (("one", 50), ("two", 70))]
    one, two = lead_around(wires, NODES, []).values()
    assert abs(one[0][1] - two[0][1]) >= 8


@pytest.mark.parametrize("seed", range(3))
def test_no_wire_of_a_random_board_is_hidden(seed: int) -> None:
    """Three columns of nodes; every wire spans the middle one."""
    draw = np.random.default_rng(seed)
    nodes: dict[str, Rectangle] = {}
    for column in range(3):
        top = 0.0
        for row in range(3):
            height = int(draw.integers(80, 300))
            nodes[f"{column}.{row}"] = (500 * column, top, 500 * column + 300, top + height)
            top += height + 60
    wires: list[Wire] = []
    for _ in range(3):
        start, end = f"0.{draw.integers(3)}", f"2.{draw.integers(3)}"
        down, deep = draw.integers(20, 80, 2)
        wires.append(Wire(start, "out", end, (290, nodes[start][1] + down), (1010, nodes[end][1] + deep)))
    bends = lead_around(wires, nodes, [])
    for index, wire in enumerate(wires):
        for row in range(3):
            assert covered(wire, bends.get(index, []), nodes[f"1.{row}"]) == 0
