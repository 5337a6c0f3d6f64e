"""The two guards against redirects, each by itself: either alone keeps pictures, prompts and keys from other hosts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest
from finished_run import make_run
from hasty_clients import JUDGE, PATIENCE, SECRET
from hostile_server import FAULTS, hostile

from relation_tools.evaluation.errors import EvaluationError
from relation_tools.evaluation.judge import Endpoint, ask
from relation_tools.evaluation.server import Server
from relation_tools.evaluation.transport import open_session

aiohttp = pytest.importorskip("aiohttp")


def test_a_session_refuses_redirects_by_itself() -> None:
    """Also those that a request lets it follow, as opening a WebSocket does."""

    async def lead(address: str) -> None:
        async with open_session() as session:
            with pytest.raises(aiohttp.ClientError, match="leads elsewhere, where nothing is sent"):
                await session.get(f"{address}/view", headers={"Authorization": SECRET})

    meet_redirects(lead)


def test_requests_follow_no_redirect_in_any_session(tmp_path: Path) -> None:
    """The session here is a plain one, which would."""
    made = make_run(tmp_path)

    async def lead(address: str) -> None:
        async with aiohttp.ClientSession() as session:
            server = Server(address, session, PATIENCE)
            picture = {"filename": "a.png"}
            for asking in (
                server.answers(),
                server.upload(made.target(0)),
                server.submit({}, "0"),
                server.fetch(picture),
            ):
                with suppress(EvaluationError):
                    await asking
            with pytest.raises(EvaluationError, match="leads to"):
                await ask(session, Endpoint(address, "critic", SECRET), {}, JUDGE)

    meet_redirects(lead)


def meet_redirects(lead: Callable[[str], Awaitable[None]]) -> None:
    """Let a client meet a server whose every answer leads to another one, which must not be asked."""
    with hostile(0, nothing=FAULTS["nothing"]) as other, hostile(0, **{"": FAULTS["redirect 307"]}) as server:
        server.elsewhere = f"http://localhost:{other.port}/stolen"
        asyncio.run(lead(server.address))
        assert server.asked and other.asked == []
