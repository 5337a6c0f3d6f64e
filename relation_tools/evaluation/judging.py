"""Have many samples judged, each once, and keep every request, reply and score."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relation_core.errors import PictureError
from relation_core.files.json_file import json_text, read_json
from relation_core.pictures.picture_file import read_picture
from relation_core.progress import Progress
from relation_core.samples.samples import Sample
from relation_core.weights.atomic import write_whole

from .errors import EvaluationError
from .judge import PATIENT, Endpoint, Judgement, JudgePatience, ask, checked, composite, parse_reply, request_body
from .judge_cost import Meter, Prices
from .run_folder import RunFolder, pictures_digest
from .transport import BadAnswerError, open_session

if TYPE_CHECKING:
    import aiohttp

AT_A_TIME = 4
_LOG = logging.getLogger(__name__)


async def judge_samples(
    samples: Sequence[Sample],
    folder: Path,
    run: RunFolder,
    endpoint: Endpoint,
    progress: Progress,
    patience: JudgePatience = PATIENT,
    meter: Meter | None = None,
) -> dict[int, str]:
    """Have every remaining sample judged, as long as the budget lasts; return those without usable scores.

    Each sample gets ``judgements/<index>.json`` with the request, the reply and the scores.

    Raises:
        EvaluationError: the judge refuses, or stays away. Judgements so far are kept.
    """
    progress.start(len(samples))
    gate = asyncio.Semaphore(AT_A_TIME)
    failed: dict[int, str] = {}
    meter = meter or Meter(Prices())

    async def judge(sample: Sample, session: aiohttp.ClientSession) -> None:
        async with gate:
            if read_judgement(run, sample, folder, endpoint.model) is None and await meter.admit(sample.index):
                try:
                    reason = await _judge(sample, folder, run, endpoint, session, patience, meter)
                except (BadAnswerError, PictureError) as error:
                    reason = endpoint.hidden(str(error))
                if reason:
                    failed[sample.index] = reason
            progress.step()

    async with open_session(patience.total) as session:
        tasks = [asyncio.create_task(judge(sample, session)) for sample in samples]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    return failed


def unjudged(samples: Iterable[Sample], folder: Path, run: RunFolder, model: str) -> list[Sample]:
    """Keep the samples that a model has not judged yet."""
    return [sample for sample in samples if read_judgement(run, sample, folder, model) is None]


async def _judge(
    sample: Sample,
    folder: Path,
    run: RunFolder,
    endpoint: Endpoint,
    session: aiohttp.ClientSession,
    patience: JudgePatience,
    meter: Meter,
) -> str:
    made_of = _made_of(run, sample, folder)
    counted: dict[str, Any] | None = None  # nothing was sent yet
    try:
        before, after, source = (read_picture(folder / name) for name in sample.pictures[:3])
        body = request_body(endpoint, composite(before, after, source, read_picture(run.result(sample.index))))
        counted = {}
        counted = reply = await ask(session, endpoint, body, patience)
    finally:
        await meter.settle(counted)
    record: dict[str, Any] = {
        "made_of": made_of,
        "address": endpoint.hidden(endpoint.address),
        "request": body,
        "reply": reply,
    }
    reason = ""
    try:
        scores = parse_reply(reply)
        record["scores"] = {"consistency": scores.consistency, "accuracy": scores.accuracy}
    except EvaluationError as error:
        record["error"] = reason = str(error)
    write_whole(_path(run, sample.index), json_text(record, indent=1).encode())
    return reason


def read_judgement(run: RunFolder, sample: Sample, folder: Path, model: str = "") -> Judgement | None:
    """Return a sample's scores, if its current pictures have been judged and the reply could be read.

    Args:
        run: holds the judgement.
        sample: one of its samples.
        folder: of the samples' pictures.
        model: of the judge whose scores are wanted; any if empty.
    """
    path = _path(run, sample.index)
    try:
        record = read_json(path)
        scores, made_of, asked = record.get("scores"), record.get("made_of"), record["request"]["model"]
        judgement = None if scores is None else checked(Judgement(**scores, model=asked))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, AttributeError, KeyError):
        _LOG.warning("The judgement '%s' is damaged; the sample counts as not judged.", path)
        return None
    if judgement is not None and made_of is not None and made_of != _made_of(run, sample, folder):
        _LOG.warning("The judgement '%s' is of other pictures; the sample counts as not judged.", path)
        return None
    return judgement if judgement is None or model in ("", judgement.model) else None


def _made_of(run: RunFolder, sample: Sample, folder: Path) -> str:
    """Fingerprint the pictures that a judge sees; unreadable pictures give a fingerprint that matches nothing."""
    return pictures_digest([*(folder / name for name in sample.pictures[:3]), run.result(sample.index)])


def _path(run: RunFolder, index: int) -> Path:
    return run.judgements / f"{index:06d}.json"
