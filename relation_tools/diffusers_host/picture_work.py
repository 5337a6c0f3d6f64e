"""A process that edits whatever pictures it is given, here or at addresses."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

from relation_core.errors import RelationAdapterError
from relation_core.progress import Progress, Silent

from ..address import AddressError
from .editing import Editing, Order
from .findings import Outcome
from .jobs import EditJob, JobError
from .remote_jobs import RemoteJob, at_hand

Job = EditJob | RemoteJob


def made_ready(order: Order) -> Callable[[list[Job]], list[Outcome]]:
    """Make this process ready to edit; models are loaded with the first picture that needs them.

    Raises:
        RelationAdapterError: this machine has other files than the one that runs the command.
    """
    if Order.read(order.options).identity != order.identity:
        raise RelationAdapterError(
            "A worker found other models or exemplars at the paths that were given than the machine that runs the "
            "command. Expected the same files on every machine: use a shared folder."
        )
    opened: list[Editing] = []

    def edit(job: EditJob) -> Outcome:
        outcome = order.found(job)
        if outcome is not None:
            return outcome
        if not opened:
            opened.append(Editing.open(order, _no_bar))
        return opened[0].edit(job, Silent())

    def edit_anywhere(job: Job) -> Outcome:
        if isinstance(job, EditJob):
            return edit(job)
        try:
            with at_hand(job) as here:
                outcome = edit(here)
        except (JobError, AddressError) as error:
            return Outcome("failed", str(error))
        message = outcome.message.replace(str(here.source), str(job.source)).replace(str(here.result), str(job.result))
        return Outcome(outcome.kind, message)

    return lambda jobs: [edit_anywhere(job) for job in jobs]


@contextmanager
def _no_bar(_what: str) -> Generator[Progress]:
    yield Silent()
