"""Work that processes of this machine divide among them, and that ends with its command, however that ends.

``ProcessPoolExecutor`` is not used: its processes share locks, and one that a signal ends while it holds one leaves the
command waiting for ever. Here each has a pipe of its own, and one that dies takes nothing with it.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from relation_core.errors import RelationAdapterError

from .ending import ending_cleanly, interrupt, interruptible, uninterrupted

Job = TypeVar("Job")
Result = TypeVar("Result")
_PATIENCE = 5.0
"""Seconds for all workers to clean up before they are killed."""
_FEWER = "with fewer --processes"


class WorkerDiedError(RelationAdapterError):
    """A process that did a part of the work is dead, or was never there."""


class _WorkerTracebackError(Exception):
    """Says where in a worker an error was raised."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


@contextmanager
def divided(
    works: Sequence[Callable[[Job], Result]], jobs: Sequence[Job], remedy: str = _FEWER
) -> Generator[Iterator[tuple[Job, Result]]]:
    """Have jobs done by processes in the block, and give each with its result, as they arrive.

    After the block no process is left. One that still works is interrupted by a ``KeyboardInterrupt``, as it is by a
    signal to all processes of a command and by the end of its parent; it is killed if it does not end soon.

    Args:
        works: what each process does with a job; like the jobs and results they can be pickled. If it is one, or one
            job, it is done in this process.
        jobs: what is to be done.
        remedy: what to do where a process cannot be started or is killed, after "Run again".

    Raises:
        WorkerDiedError: a process was killed, or cannot be started.
        Exception: any that these raise.
    """
    count = min(len(works), len(jobs))
    if count < 2:
        yield ((job, works[0](job)) for job in jobs)
        return
    workers: list[_Worker] = []
    try:
        _start(workers, count, remedy)
        yield _done(workers, works, jobs)
    finally:
        with uninterrupted():
            _end(workers)


@dataclass(frozen=True)
class _Worker:
    process: BaseProcess
    pipe: Any
    """Our end. It closes with the process, since no other process has the other end."""
    remedy: str

    def give(self, what: object) -> None:
        with suppress(ConnectionError):  # it is dead, which `take` finds
            self.pipe.send(what)

    def take(self, workers: int) -> Any:
        """Wait for a result.

        Raises:
            WorkerDiedError: it died over it.
            Exception: it raised it.
        """
        try:
            result, raised = self.pipe.recv()
        except (EOFError, OSError) as error:
            self.process.join(_PATIENCE)
            raise WorkerDiedError(
                f"One of {workers} worker processes died ({_ending(self.process.exitcode)}); expected all to finish. "
                f"Systems kill processes where memory runs out. Run again {self.remedy}. What is done stays done."
            ) from error
        if raised:
            raise result from _WorkerTracebackError(raised)
        return result


def _ending(code: int | None) -> str:
    with suppress(ValueError):
        return signal.Signals(-(code or 0)).name
    return f"exit status {code}"


def _start(workers: list[_Worker], count: int, remedy: str) -> None:
    context = multiprocessing.get_context("spawn")  # a copy of a process with threads can freeze
    if sys.platform != "win32":
        from multiprocessing import resource_tracker  # noqa: PLC0415

        resource_tracker.ensure_running()  # which lets signals through that are put off
    try:
        for _ in range(count):
            with uninterrupted():
                ours, theirs = context.Pipe()
                process = context.Process(target=_serve, args=(theirs,), daemon=True)
                process.start()
                theirs.close()
                workers.append(_Worker(process, ours, remedy))
    except OSError as error:
        raise WorkerDiedError(
            f"Only {len(workers)} of {count} worker processes can be started ({error}); expected all. Run again "
            f"{remedy}."
        ) from error


def _end(workers: Sequence[_Worker]) -> None:
    for worker in workers:
        worker.pipe.close()
        worker.process.terminate()
    deadline = time.monotonic() + _PATIENCE
    for worker in workers:
        worker.process.join(max(0.0, deadline - time.monotonic()))
    for worker in workers:
        worker.process.kill()
        worker.process.join()


def _done(
    workers: Sequence[_Worker], works: Sequence[Callable[[Job], Result]], jobs: Sequence[Job]
) -> Generator[tuple[Job, Result]]:
    left = iter(jobs)
    given: dict[Any, tuple[_Worker, Job]] = {}
    for worker, work, job in zip(workers, works, left, strict=False):
        worker.give(work)
        worker.give(job)
        given[worker.pipe] = worker, job
    while given:
        for pipe in connection.wait(list(given)):
            worker, job = given.pop(pipe)
            result: Result = worker.take(len(workers))
            for another in islice(left, 1):
                worker.give(another)
                given[worker.pipe] = worker, another
            yield job, result


def _serve(pipe: Any) -> None:
    """Do jobs until this process is interrupted, or its parent closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this process
    with suppress(EOFError, ConnectionError, KeyboardInterrupt), ending_cleanly():
        # It starts while signals are put off, and so never gets one, which would not wake this thread from a wait.
        threading.Thread(target=_follow_parent, daemon=True).start()
        interruptible()
        work = pipe.recv()
        while True:
            pipe.send(_tried(work, pipe.recv()))


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        interrupt(signal.SIGTERM)


def _tried(work: Callable[[Any], Any], job: Any) -> tuple[Any, str]:
    """Give a result, or an error and where it was raised."""
    try:
        return work(job), ""
    except Exception as error:  # raised by the parent
        return error, traceback.format_exc()
