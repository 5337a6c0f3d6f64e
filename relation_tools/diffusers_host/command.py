"""The work of ``python -m relation_tools edit``, with its libraries loaded."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from relation_core.errors import printable
from relation_core.weights.lock import BusyError

from .card_edit import edit_beside, graphics_cards
from .editing import Editing, Order, ProgressBar
from .findings import Findings
from .jobs import EditJob, JobError, plan_jobs
from .picture_work import Job, made_ready
from .remote_jobs import plan_remote

_LOG = logging.getLogger(__name__)


def edit_pictures(options: argparse.Namespace, progress_bar: ProgressBar) -> int:
    """Edit the sources that the options name; return the exit status.

    Raises:
        RelationAdapterError: nothing can be done.
    """
    jobs = _shared(_planned(options), options)
    order = Order.read(options)
    if not jobs:
        _LOG.info("Share %s of the pictures holds none; nothing to do.", options.shard)
        return 0
    found = Findings()
    if options.ray is None:
        _edit_on_this_machine(order, jobs, found, progress_bar)
    else:
        from .spread_edit import edit_spread  # noqa: PLC0415 - loads Ray

        edit_spread(order, jobs, found, progress_bar)
    if found.kept == len(jobs):
        _LOG.info("All %d results are there already; nothing to do.", found.kept)
    if found.busy and len(jobs) == 1:
        raise BusyError(
            f"Another process is editing '{printable(str(options.out))}'. Expected no other: wait for it to finish and "
            "run again, or choose another place."
        )
    return found.report(len(jobs), options.out)


def _edit_on_this_machine(order: Order, jobs: Sequence[Job], found: Findings, progress_bar: ProgressBar) -> None:
    """Edit pictures without Ray. Nothing is loaded or started for those whose results are there."""
    waiting: list[Job] = []
    for job in jobs:
        outcome = order.found(job) if isinstance(job, EditJob) else None
        if outcome is None:
            waiting.append(job)
        else:
            found.add(outcome, job.source, job.result)
    if not waiting:
        return
    here = [job for job in waiting if isinstance(job, EditJob)]
    cards = graphics_cards(order.options.device)
    if len(cards) > 1 and len(waiting) > 1:
        edit_beside(order, waiting, cards, found, progress_bar)
    elif here == waiting:
        _edit_here(order, here, found, progress_bar)
    else:
        _edit_there(order, waiting, found, progress_bar)


def _edit_here(order: Order, jobs: Sequence[EditJob], found: Findings, progress_bar: ProgressBar) -> None:
    """Edit pictures in this process."""
    editing = Editing.open(order, progress_bar)
    with progress_bar("steps") as progress:
        progress.start(order.settings.steps * len(jobs))
        for job in jobs:
            found.add(editing.edit(job, progress), job.source, job.result)


def _edit_there(order: Order, jobs: Sequence[Job], found: Findings, progress_bar: ProgressBar) -> None:
    """Edit pictures at addresses in this process."""
    work = made_ready(order)
    with progress_bar("pictures") as progress:
        progress.start(len(jobs))
        for job in jobs:
            found.add(work([job])[0], job.source, job.result)
            progress.step()


def _planned(options: argparse.Namespace) -> Sequence[Job]:
    """Find the pictures.

    Raises:
        RelationAdapterError: there are none, or results have no place.
    """
    source, out = options.source, options.out
    if isinstance(source, Path) and isinstance(out, Path):
        return plan_jobs(source, out, options.overwrite)
    return plan_remote(source, out, options.overwrite)


def _shared(jobs: Sequence[Job], options: argparse.Namespace) -> Sequence[Job]:
    """Pick this machine's share.

    Raises:
        JobError: a single picture cannot be shared.
    """
    if options.shard is None:
        return jobs
    if options.source.is_file():
        raise JobError(f"--shard {options.shard} is given for one picture; expected a folder of sources. Leave it out.")
    return options.shard.of(jobs)
