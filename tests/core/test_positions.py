"""Position ids of source tokens: cloned on equal grids, spread evenly on others."""

from __future__ import annotations

import pytest
import torch

from relation_core.flux.positions import Window, source_positions

GRIDS = [(4, 6), (7, 4), (8, 12), (3, 3), (16, 5), (2, 2), (32, 32), (31, 17)]


def host_ids(grid: tuple[int, int], batch: int = 2) -> torch.Tensor:
    """Target ids as a Flux has them: an index axis of 0, then row and column."""
    rows, columns = grid
    ids = torch.zeros(rows, columns, 3)
    ids[..., 1] = torch.arange(rows)[:, None]
    ids[..., 2] = torch.arange(columns)
    return ids.flatten(0, 1).expand(batch, -1, -1)


@pytest.mark.parametrize("grid", GRIDS)
def test_equal_grids_share_every_position(grid: tuple[int, int]) -> None:
    ids = host_ids(grid)
    assert torch.equal(source_positions(ids, grid, grid), ids)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("target", GRIDS)
def test_other_grids_are_spread_evenly_over_the_target(target: tuple[int, int], grid: tuple[int, int]) -> None:
    ids = source_positions(host_ids(target), target, grid)
    assert ids.shape == (2, grid[0] * grid[1], 3)
    ids = ids.unflatten(1, grid)
    assert not ids[..., 0].any()
    rows = torch.linspace(0, target[0] - 1, grid[0])[:, None].expand(grid)
    columns = torch.linspace(0, target[1] - 1, grid[1]).expand(grid)
    for sample in ids:
        torch.testing.assert_close(sample[..., 1], rows, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(sample[..., 2], columns, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("grid", [(1, 1), (1, 9), (9, 1)])
def test_a_single_row_or_column_lies_at_the_edge(grid: tuple[int, int]) -> None:
    ids = source_positions(host_ids((5, 7)), (5, 7), grid).unflatten(1, grid)
    assert ids.isfinite().all()
    assert not ids[:, 0, 0].any()
    expected = [4 if grid[0] > 1 else 0, 6 if grid[1] > 1 else 0]
    assert ids[0, -1, -1, 1:].tolist() == expected


def test_ids_keep_what_else_the_host_put_in_them() -> None:
    ids = host_ids((4, 4)).clone()
    ids[..., 0], ids[..., 1] = 3.0, ids[..., 1] + 100.0
    spread = source_positions(ids, (4, 4), (2, 2))
    assert spread[0].tolist() == [[3, 100, 0], [3, 100, 3], [3, 103, 0], [3, 103, 3]]


@pytest.mark.parametrize("part", [(4, 6, 0, 0), (3, 2, 1, 4), (1, 1, 3, 5), (1, 6, 2, 0), (4, 1, 0, 5)])
def test_around_a_part_the_source_keeps_its_distances(part: tuple[int, int, int, int]) -> None:
    rows, columns, top, left = part
    whole = (4, 6)
    window = Window(whole, top, left)
    ids = source_positions(host_ids((rows, columns)), (rows, columns), whole, window).unflatten(1, whole)
    assert torch.equal(ids[:, top : top + rows, left : left + columns].flatten(1, 2), host_ids((rows, columns)))
    assert torch.equal(ids + torch.tensor([0, top, left]), host_ids(whole).unflatten(1, whole))


def test_around_a_part_a_smaller_source_is_spread_over_the_picture() -> None:
    ids = source_positions(host_ids((2, 2)), (2, 2), (3, 2), Window((5, 7), 1, 4)).unflatten(1, (3, 2))
    assert ids[0, :, 0, 1].tolist() == [-1, 1, 3]
    assert ids[0, 0, :, 2].tolist() == [-4, 2]
