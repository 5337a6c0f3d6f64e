"""A folder's edit on all graphics cards of this machine, by a process for each."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from ..workers import divided
from .editing import Order, ProgressBar
from .findings import Findings, Outcome
from .picture_work import Job, made_ready

_LOG = logging.getLogger(__name__)
_REMEDY = "with --device cuda:0, which loads the models once, or with smaller models or pictures"


def graphics_cards(device: str) -> list[str]:
    """The cards that an edit takes: all that PyTorch sees, unless ``--device`` names one."""
    return [f"cuda:{number}" for number in range(torch.cuda.device_count())] if device == "auto" else []


def edit_beside(
    order: Order, jobs: Sequence[Job], devices: Sequence[str], found: Findings, progress_bar: ProgressBar
) -> None:
    """Edit pictures on several devices at once.

    Args:
        order: what is to be done with every picture.
        jobs: the pictures.
        devices: PyTorch's names, one for each process.
        found: where the outcomes go.
        progress_bar: shows how many pictures are done.

    Raises:
        WorkerDiedError: a process was killed, or cannot be started.
        RelationAdapterError: nothing can be done.
    """
    works = [_OnDevice(order, device) for device in devices]
    _LOG.info("%d processes edit %d pictures, on %s.", min(len(works), len(jobs)), len(jobs), ", ".join(devices))
    with divided(works, jobs, _REMEDY) as done, progress_bar("pictures") as progress:
        progress.start(len(jobs))
        for job, outcome in done:
            found.add(outcome, job.source, job.result)
            progress.step()


class _OnDevice:
    """Edits on a device. The models are loaded once, in the process that edits."""

    def __init__(self, order: Order, device: str) -> None:
        self._order = replace(order, options=argparse.Namespace(**{**vars(order.options), "device": device}))
        self._edit: Callable[[list[Job]], list[Outcome]] | None = None

    def __call__(self, job: Job) -> Outcome:
        if self._edit is None:
            self._edit = made_ready(self._order)
        return self._edit([job])[0]
