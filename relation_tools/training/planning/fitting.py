"""The nearest settings whose plan fits a card."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from relation_core.errors import RelationAdapterError

from ..settings import RunSettings
from .plan import Launch, Plan, make_plan

Change = tuple[str, Any]
"""A setting's dotted name, and a value."""
_LADDER: tuple[Change, ...] = (
    ("training.gradient_checkpointing", True),
    ("training.accumulate", 0),
    ("models.offload", True),
    ("training.optimizer", "adamw 8-bit"),
    ("models.quantize", "int8"),
    ("training.ema", 0.0),
    ("training.weights", "bfloat16"),
    ("models.quantize", "nf4"),
    ("training.trained", "keys and values"),
    ("training.trained", "lora"),
)
"""What makes a run smaller, from what costs least: time first, then precision, then what is learned. 0 parts stand for
one sample at once."""


def nearest(settings: RunSettings, launch: Launch, most: int) -> dict[str, Any] | None:
    """Find few changes with which a run fits, by dotted names; None if none are enough.

    Args:
        settings: that do not fit.
        launch: how the run is started.
        most: bytes of the card.
    """
    chosen: dict[str, Any] = {}
    for name, value in _steps(settings, launch):
        tried = {**chosen, name: value}
        plan = _plan(settings, launch, tried)
        if plan is None:
            continue
        chosen = tried
        if plan.total("card") <= most:
            return _without_the_needless(chosen, lambda some: _fits(settings, launch, some, most))
    return None


def changed(settings: RunSettings, changes: dict[str, Any]) -> RunSettings:
    """The settings with others in their place.

    Raises:
        ValueError: they cannot stand together.
    """
    tables: dict[str, dict[str, Any]] = {}
    for name, value in changes.items():
        table, _, key = name.partition(".")
        tables.setdefault(table, {})[key] = value
    return replace(settings, **{table: replace(getattr(settings, table), **new) for table, new in tables.items()})


def _steps(settings: RunSettings, launch: Launch) -> Iterator[Change]:
    for name, value in _LADDER:
        table, _, key = name.partition(".")
        wanted = settings.training.batch_size // launch.processes if key == "accumulate" else value
        if getattr(getattr(settings, table), key) != wanted:
            yield name, wanted


def _plan(settings: RunSettings, launch: Launch, changes: dict[str, Any]) -> Plan | None:
    try:
        return make_plan(changed(settings, changes), launch)
    except (RelationAdapterError, ValueError):  # they cannot stand together
        return None


def _fits(settings: RunSettings, launch: Launch, changes: dict[str, Any], most: int) -> bool:
    plan = _plan(settings, launch, changes)
    return plan is not None and plan.total("card") <= most


def _without_the_needless(changes: dict[str, Any], fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Take back what costs most first; it may also need something that costs less, as offloading does."""
    for name in reversed(list(changes)):
        fewer = {key: value for key, value in changes.items() if key != name}
        if fits(fewer):
            changes = fewer
    return changes
