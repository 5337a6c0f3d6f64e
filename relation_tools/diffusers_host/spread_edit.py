"""A folder's edit, divided among Ray's workers."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from functools import partial

from relation_core.errors import printable

from ..spread.cluster import cluster
from ..spread.spreading import Lost, spread
from .editing import Order, ProgressBar
from .findings import Findings, Outcome
from .picture_work import Job, made_ready

_LOG = logging.getLogger(__name__)


def edit_spread(order: Order, jobs: Sequence[Job], found: Findings, progress_bar: ProgressBar) -> None:
    """Edit pictures on all workers; those that other runs were editing are looked at once more.

    Raises:
        RelationAdapterError: nothing can be done.
    """
    options = order.options
    with cluster(options.ray, options.workers, options.device != "cpu") as where, progress_bar("pictures") as progress:
        progress.start(len(jobs))
        _LOG.info("%d workers edit %d pictures.", where.workers, len(jobs))
        times: list[float] = []
        left = jobs
        for last in (False, True):
            busy: list[Job] = []
            for job, outcome in spread(where, left, partial(made_ready, order)):
                ended = _lost(job, outcome) if isinstance(outcome, Lost) else outcome
                if ended.kind == "busy" and not last:
                    busy.append(job)
                    continue
                found.add(ended, job.source, job.result)
                times += [time.monotonic()] if ended.kind == "edited" else []
                progress.step()
            left = busy
            if not left:
                break
    if times and times[-1] > times[0]:
        speed = (len(times) - 1) / (times[-1] - times[0])
        _LOG.info("%.3g pictures a second by %d workers, from the first result on.", speed, where.workers)


def _lost(job: Job, outcome: Lost) -> Outcome:
    name = printable(str(job.source))
    return Outcome("failed", f"Cannot edit '{name}': {outcome.reason()}")
