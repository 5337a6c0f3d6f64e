"""Trackers that follow a run beside its curve, through accelerate: TensorBoard and Weights & Biases."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any

from .settings import RunSettings

PROJECT = "relation-adapter"


@contextmanager
def tracked(accelerator: Any, settings: RunSettings, step: int) -> Generator[None]:
    """Begin the trackers that the accelerator was made with, and end them after the block.

    Args:
        accelerator: the run's.
        settings: the run's, which the trackers show.
        step: after which the run goes on; what TensorBoard has of later steps is dropped, since they are taken again.
    """
    if settings.records.trackers:
        own = {
            "tensorboard": {"purge_step": step + 1},
            "wandb": {"dir": str(settings.output), "group": str(settings.output)},
        }
        accelerator.init_trackers(PROJECT, dict(_named(settings, "")), own)
    try:
        yield
    finally:
        for tracker in accelerator.trackers:
            tracker.finish()


def track(accelerator: Any, row: Mapping[str, str], step: int) -> None:
    """Give the trackers the numbers of a row of the curve."""
    accelerator.log({name: float(value) for name, value in row.items()}, step=step)


def _named(value: Any, name: str) -> Iterator[tuple[str, str | float | bool]]:
    """The settings by their dotted names."""
    if is_dataclass(value):
        for field in fields(value):
            yield from _named(getattr(value, field.name), f"{name}.{field.name}" if name else field.name)
    else:
        yield name, value if isinstance(value, (bool, int, float)) else str(value)
