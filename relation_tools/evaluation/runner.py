"""Run samples through servers: several at a time, each once, despite crashes on either side."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

from relation_core.errors import PictureError
from relation_core.pictures.picture_file import decode_picture
from relation_core.progress import Progress
from relation_core.samples.samples import Sample
from relation_core.settings.bounds import COUNT, COUNT_OR_NONE, SECONDS, SEED, check_settings
from relation_core.weights.atomic import write_whole

from .answers import result_picture, understanding
from .errors import (
    EvaluationError,
    PromptFailedError,
    PromptLostError,
    PromptRefusedError,
    SampleBrokenError,
    ServerDownError,
)
from .journal import Entry, Journal, last_entries, read_journal
from .run_folder import RunFolder, pictures_digest
from .server import Server
from .template import Template, Values

REFUSALS = 2
"""How often a sample is tried that a server refuses; before the second time its pictures are uploaded again."""
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunOptions:
    """Settings for dealing with servers."""

    seed: Annotated[int, SEED] = 1000
    """The authors' seed (paper, appendix A.2), the same for every sample."""
    queued: Annotated[int, COUNT] = 2
    """Samples that a server holds at a time: the current one and the next."""
    attempts: Annotated[int, COUNT] = 3
    """How often a sample is tried that fails in a node."""
    losses: Annotated[int, COUNT_OR_NONE] = 10
    """How often a sample is resubmitted after a restarted server has lost it."""
    drops: Annotated[int, COUNT_OR_NONE] = 20
    """How often a server may come back within one sample, before it counts as gone."""
    first_pause: Annotated[float, SECONDS] = 1.0
    """Seconds before the second try; doubled before each further one."""
    give_up: Annotated[float, SECONDS] = 600.0
    """Seconds without an answer after which a server counts as gone."""

    def __post_init__(self) -> None:
        check_settings(self, EvaluationError)


@dataclass(frozen=True)
class RunSummary:
    """How an evaluation ended."""

    done: int
    failed: dict[int, str]
    """Samples that failed, with their last message."""


@dataclass
class _Work:
    """The remaining work, shared by all workers."""

    folder: Path
    waiting: deque[Sample]
    returning: dict[str, deque[tuple[Sample, str]]]
    """By server: samples that an earlier run had submitted there, with their prompt's id."""
    unfinished: int
    done: int = 0
    failed: dict[int, str] = field(default_factory=dict[int, str])
    losses: Counter[int] = field(default_factory=Counter[int])

    def finish(self) -> None:
        self.unfinished -= 1


class Runner:
    """Runs the samples of one file."""

    def __init__(
        self, template: Template, run: RunFolder, journal: Journal, options: RunOptions, progress: Progress
    ) -> None:
        self._template = template
        self._run = run
        self._journal = journal
        self._options = options
        self._progress = progress

    async def run(self, samples: Sequence[Sample], folder: Path, servers: Sequence[Server]) -> RunSummary:
        """Run every sample that has no result yet.

        Args:
            samples: of one file.
            folder: what their paths are relative to.
            servers: ready to be used.

        Raises:
            EvaluationError: the workflow fits no server, or all servers are gone. Run again to resume.
        """
        work = self._plan(samples, folder, servers)
        async with AsyncExitStack() as stack:
            for server in servers:
                await stack.enter_async_context(server.listening())
            workers = [
                asyncio.create_task(self._serve(server, work))
                for server in servers
                for _ in range(self._options.queued)
            ]
            try:
                await asyncio.gather(*workers)
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)
        if work.unfinished:
            raise EvaluationError(
                f"{work.unfinished} samples are left, but no server answers any longer. Start one and run again."
            )
        return RunSummary(work.done, work.failed)

    def _plan(self, samples: Sequence[Sample], folder: Path, servers: Sequence[Server]) -> _Work:
        self._progress.start(len(samples))
        last = last_entries(read_journal(self._run.journal))
        work = _Work(folder, deque(), {server.shown: deque() for server in servers}, 0)
        for sample in samples:
            entry = last.get(sample.index)
            if self._run.result(sample.index).exists() and is_current(sample, entry, folder):
                work.done += 1
                self._progress.step()
                continue
            work.unfinished += 1
            current = entry is not None and entry.made_of in ("", contents_of(sample, folder))
            if entry is not None and entry.event == "submitted" and current and entry.server in work.returning:
                work.returning[entry.server].append((sample, entry.prompt))
            else:
                work.waiting.append(sample)
        return work

    async def _serve(self, server: Server, work: _Work) -> None:
        """Send samples to one server until none is left or the server is gone."""
        while work.unfinished:
            returning = work.returning[server.shown]
            if not returning and not work.waiting:
                await asyncio.sleep(0.1)  # others may hand samples back
                continue
            sample, prompt = returning.popleft() if returning else (work.waiting.popleft(), None)
            try:
                message = await self._try(server, sample, prompt, work)
            except PromptLostError as error:
                work.losses[sample.index] += 1
                if work.losses[sample.index] < self._options.losses:
                    work.waiting.append(sample)  # at the end: a sample that crashes servers must not take others along
                    continue
                message = f"{error} It was lost {self._options.losses} times: it may be what takes servers down."
            except ServerDownError as error:
                _LOG.warning("%s Its samples go to the others.", error)
                work.waiting.appendleft(sample)
                work.waiting.extend(one for one, _ in returning)
                returning.clear()
                return
            if message is None:
                work.done += 1
            else:
                work.failed[sample.index] = message
                self._journal.add(Entry("failed", sample.index, server.shown, message=message))
            work.finish()
            self._progress.step()

    async def _try(self, server: Server, sample: Sample, prompt: str | None, work: _Work) -> str | None:
        """Run a sample, several times if need be; return why it failed, or None.

        An id stays with its sample until the outcome is known: if an answer was lost, the server is asked.

        Raises:
            PromptLostError: the server was restarted in the meantime.
            PromptRefusedError: no sample has been taken yet: it is the workflow that does not fit.
            ServerDownError: the server stays away.
        """
        failures, drops = 0, 0
        made_of = contents_of(sample, work.folder)  # before they are sent, so that a later replacement is noticed
        while True:
            try:
                if prompt is None:
                    filled = await self._fill(server, sample, work)
                    prompt = self._announce(server, sample, made_of)
                    await server.submit(filled, prompt)
                outputs = await server.wait(prompt)
                with understanding(server.shown):
                    picture = result_picture(outputs, self._template.result_node)
                self._keep(sample, await server.fetch(picture), server, made_of)
            except ServerDownError as error:  # noqa: PERF203 - trying again is what the loop is for
                drops += 1
                if drops > self._options.drops:
                    raise
                await self._wait_for(server, error)
            except SampleBrokenError as error:
                return str(error)
            except (PromptFailedError, PromptRefusedError) as error:
                prompt, failures = None, failures + 1
                refused = isinstance(error, PromptRefusedError)
                if failures >= (REFUSALS if refused else self._options.attempts):
                    if refused and not work.done:
                        raise
                    return str(error)
                await asyncio.sleep(self._options.first_pause * 2 ** (failures - 1))
            else:
                return None

    async def _fill(self, server: Server, sample: Sample, work: _Work) -> dict[str, Any]:
        before, after, source = [await server.upload(work.folder / name) for name in sample.pictures[:3]]
        return self._template.filled(Values(before, after, source, sample.text, self._options.seed))

    def _announce(self, server: Server, sample: Sample, made_of: str) -> str:
        prompt = str(uuid4())
        self._journal.add(Entry("submitted", sample.index, server.shown, prompt, made_of=made_of))
        return prompt

    def _keep(self, sample: Sample, data: bytes, server: Server, made_of: str) -> None:
        buffer = BytesIO()
        try:
            decode_picture(data, f"what {server.shown} sent as a result").save(buffer, "PNG")
        except PictureError as error:
            raise PromptFailedError(str(error)) from error
        write_whole(self._run.result(sample.index), buffer.getvalue())
        self._journal.add(Entry("done", sample.index, server.shown, made_of=made_of))

    async def _wait_for(self, server: Server, error: ServerDownError) -> None:
        """Wait until a server answers again.

        Raises:
            ServerDownError: it does not.
        """
        _LOG.warning("%s Waiting for it.", error)
        deadline = time.monotonic() + self._options.give_up
        pause = self._options.first_pause
        await asyncio.sleep(pause)
        while not await server.answers():
            if time.monotonic() > deadline:
                raise ServerDownError(f"{server.shown} has not answered for {self._options.give_up:.0f} seconds.")
            await asyncio.sleep(pause)
            pause = min(2 * pause, 30.0)


def is_current(sample: Sample, entry: Entry | None, folder: Path) -> bool:
    """Whether a result belongs to the current pictures; one without a record counts as current."""
    if entry is None or not entry.made_of or entry.made_of == contents_of(sample, folder):
        return True
    _LOG.warning("Sample %d has a picture that was replaced since; it is run again.", sample.index)
    return False


def contents_of(sample: Sample, folder: Path) -> str:
    """Name the contents of the pictures that a sample is made of."""
    return pictures_digest(folder / name for name in sample.pictures[:3])
