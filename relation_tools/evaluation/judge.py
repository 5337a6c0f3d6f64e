"""Editing consistency and accuracy, 1 to 5, judged by a vision-language model (paper, section 4.4 and figure 10).

The paper shows GPT-4o a composite of A, A1, B and two results of different methods, and has it score both in one reply.
Here there is one result, so its scores are not strictly those of the paper: a judge that sees two results is also told
to set them apart.
"""

from __future__ import annotations

import asyncio
import base64
import os
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any, cast

from PIL import Image

from relation_core.files.json_file import parse_json
from relation_core.pictures.layout import Look, Tile, TileRow, lay_out

from .errors import EvaluationError
from .transport import IDENTITY, MAX_ANSWER, BadAnswerError, bounded_body, one_line, redacted, secrets_of

if TYPE_CHECKING:
    import aiohttp

ADDRESS, MODEL, KEY = "RELATION_JUDGE_URL", "RELATION_JUDGE_MODEL", "RELATION_JUDGE_KEY"
LOWEST, HIGHEST = 1, 5
QUESTION = """The picture has two columns. On the left, from top to bottom: A, an original; A1, an edited version \
of A; B, another original. On the right: B1, which an editor made of B and which should show the same edit as A1 does.

Score B1 in two respects, each from 1 (worst) to 5 (best); fractions are allowed.
consistency: how far B1 keeps what the edit should leave alone in B: its objects, colours and structure.
accuracy: how far the change from B to B1 is the change from A to A1, in kind, place and degree.

Be critical, and keep 4 and 5 for results that are highly consistent or accurate. Reply with JSON alone: \
{"B1": {"consistency": <1-5>, "accuracy": <1-5>}}"""
_LOOK = Look(cell=(384, 384), gap=16, margin=16, font=20, line=28)
_BUSY = (408, 409, 429)


@dataclass(frozen=True)
class Judgement:
    """The scores from a judge."""

    consistency: float
    accuracy: float
    model: str = ""
    """The judge, where it is known."""


@dataclass(frozen=True)
class Endpoint:
    """An OpenAI-compatible server of a vision-language model."""

    address: str
    """The base address, such as ``https://host/v1``."""
    model: str
    key: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if self.key and secrets_of(self.address):
            raise EvaluationError(
                f"The judge has a password in its address and a key; both would be the same header. Leave {KEY} "
                f"out, or the password out of {ADDRESS}."
            )

    def hidden(self, text: str) -> str:
        """Remove the key, and a password in the address, from a text."""
        return redacted(text, self.key, *secrets_of(self.address))

    @staticmethod
    def from_environment() -> Endpoint:
        """Read the endpoint from the environment.

        Raises:
            EvaluationError: it is not given there.
        """
        address, model = os.environ.get(ADDRESS, ""), os.environ.get(MODEL, "")
        if not address or not model:
            raise EvaluationError(
                f"No judge is configured. Set {ADDRESS} (the base address of an OpenAI-compatible server, such as "
                f"https://host/v1), {MODEL} and, if it needs one, {KEY}."
            )
        return Endpoint(address.rstrip("/"), model, os.environ.get(KEY, ""))


@dataclass(frozen=True)
class JudgePatience:
    """How long to wait for a judge."""

    attempts: int = 5
    first_pause: float = 1.0
    """Seconds before the second try; doubled before each further one."""
    total: float = 300.0
    """Seconds that one answer may take."""


PATIENT = JudgePatience()


def composite(before: Image.Image, after: Image.Image, source: Image.Image, result: Image.Image) -> Image.Image:
    """Lay out A, A1 and B in the left column and B1 in the right one, labelled."""
    rows = [TileRow([Tile(before, "A"), None]), TileRow([Tile(after, "A1"), None])]
    return lay_out([*rows, TileRow([Tile(source, "B"), Tile(result, "B1")])], _LOOK)


def request_body(endpoint: Endpoint, picture: Image.Image) -> dict[str, Any]:
    """Return the body of a chat completion that asks for the scores of a composite."""
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=92)
    address = "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
    content = [{"type": "text", "text": QUESTION}, {"type": "image_url", "image_url": {"url": address}}]
    return {"model": endpoint.model, "temperature": 0, "messages": [{"role": "user", "content": content}]}


def parse_reply(reply: dict[str, Any]) -> Judgement:
    """Read the scores from a chat completion.

    Raises:
        EvaluationError: they are not in it, or out of range.
    """
    try:
        text: str = reply["choices"][0]["message"]["content"]
        start, end = text.find("{"), text.rfind("}")
        scores = parse_json(text[start : end + 1] if 0 <= start < end else text)["B1"]
        judgement = Judgement(float(scores["consistency"]), float(scores["accuracy"]))
    except (AttributeError, KeyError, IndexError, OverflowError, TypeError, ValueError) as error:
        raise EvaluationError(
            f"The judge's reply holds no scores ({one_line(repr(error))}): expected "
            "{'B1': {'consistency', 'accuracy'}}."
        ) from error
    return checked(judgement)


def checked(judgement: Judgement) -> Judgement:
    """Return the judgement, once checked.

    Raises:
        EvaluationError: a score is out of range.
    """
    if not all(LOWEST <= score <= HIGHEST for score in (judgement.consistency, judgement.accuracy)):
        raise EvaluationError(f"The judge's scores {judgement} are out of range; expected {LOWEST} to {HIGHEST}.")
    return judgement


async def ask(
    session: aiohttp.ClientSession,
    endpoint: Endpoint,
    body: dict[str, Any],
    patience: JudgePatience = PATIENT,
) -> dict[str, Any]:
    """Send a request and return the judge's reply; while the judge is busy or away, retry after growing pauses.

    Raises:
        BadAnswerError: its answer is not a reply.
        EvaluationError: the judge refuses, or stays away.
    """
    import aiohttp  # noqa: PLC0415 - optional

    headers = {**IDENTITY, **({"Authorization": f"Bearer {endpoint.key}"} if endpoint.key else {})}
    address, said = f"{endpoint.address}/chat/completions", ""
    for attempt in range(patience.attempts):
        if attempt:
            await asyncio.sleep(patience.first_pause * 2 ** (attempt - 1))
        try:
            async with session.post(address, json=body, headers=headers, allow_redirects=False) as answer:
                text = (await bounded_body(answer, MAX_ANSWER)).decode(errors="replace")
                said = f"{answer.status}: {one_line(text)}"
                if answer.status == 200:
                    return _reply(endpoint.hidden(text))
                if answer.status < 500 and answer.status not in _BUSY:
                    break
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
            said = repr(error)
    raise EvaluationError(
        endpoint.hidden(f"The judge at {address} did not give a reply: {said}. Check {ADDRESS}, {MODEL} and {KEY}.")
    )


def _reply(text: str) -> dict[str, Any]:
    try:
        reply: object = parse_json(text)
    except ValueError:
        reply = None
    if not isinstance(reply, dict):
        raise BadAnswerError(f"The judge's reply is not a chat completion: {one_line(text, 200)}.")
    return cast("dict[str, Any]", reply)
