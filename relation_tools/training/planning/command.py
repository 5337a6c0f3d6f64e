"""``train --plan``: the plan of a run, as lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from relation_core.errors import RelationAdapterError

from ..settings import RunSettings
from .fitting import nearest
from .plan import Launch, Place, Plan, make_plan

_PLACES: tuple[tuple[Place, str], ...] = (
    ("card", "on the card"),
    ("machine", "in the machine's memory"),
    ("disk", "on the disk"),
)


def plan_lines(settings: RunSettings, launch: Launch, card: float | None) -> list[str]:
    """Say what a run holds where, whether it fits, and which settings would.

    Args:
        settings: of the run.
        launch: how it is started.
        card: its memory in GB, 10^9 bytes; None for the present one's.

    Raises:
        RelationAdapterError: there is no card, or a file is not what it should be.
    """
    most = _memory(launch.cpu) if card is None else int(card * 1e9)
    plan = make_plan(settings, launch)
    total = plan.total("card")
    lines = [*_table(plan), ""]
    started = f"{launch.processes} process(es){', divided by FSDP' if launch.divided else ''}"
    lines.append(f"{started}, {plan.samples} sample(s) at once on each: {_gb(total)} of {_gb(most)} GB.")
    if total <= most:
        return [*lines, f"It fits, with {_gb(most - total)} GB to spare."]
    found = nearest(settings, launch, most)
    if found is None:
        return [*lines, f"It does not fit: {_gb(total - most)} GB are missing, and none of the smaller settings fits."]
    changes = ", ".join(f"{name} = {json.dumps(value)}" for name, value in found.items())
    return [*lines, f"It does not fit: {_gb(total - most)} GB are missing. The nearest settings that fit: {changes}."]


def _table(plan: Plan) -> Iterator[str]:
    wide = max(len(row.name) for row in plan.rows) + 4
    for place, title in _PLACES:
        yield f"{title.ljust(wide)}     GB"
        for row in plan.rows:
            if row.place == place:
                yield f"  {row.name.ljust(wide - 2)}{_gb(row.nbytes).rjust(7)}"


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f}" if size >= 1e8 else f"{size / 1e9:.4f}"


def _memory(cpu: bool) -> int:
    if not cpu and torch.cuda.is_available():
        cards: Any = torch.cuda
        return int(cards.get_device_properties(0).total_memory)
    meminfo = Path("/proc/meminfo")
    if cpu and meminfo.is_file():
        return int(meminfo.read_text(encoding="utf-8").split(maxsplit=2)[1]) * 1024
    raise RelationAdapterError(
        "There is no card here whose memory could be asked for; expected one, or its size. Give it in GB: --card 24."
    )
