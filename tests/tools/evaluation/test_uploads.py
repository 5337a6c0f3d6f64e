"""Pictures that samples share are sent once, and again once they are replaced."""

from __future__ import annotations

import asyncio
import os
from io import BytesIO
from pathlib import Path

import pytest
from hostile_server import HostileServer, hostile
from PIL import Image

from relation_tools.evaluation.errors import SampleBrokenError
from relation_tools.evaluation.server import Server
from relation_tools.evaluation.transport import open_session


def sent(server: HostileServer) -> list[tuple[int, int, int]]:
    """The first pixel of every picture that arrived."""
    bodies = [body for path, _, body in server.asked if path.startswith("/upload/image")]
    pictures = [Image.open(BytesIO(body[body.index(b"\x89PNG") :])).convert("RGB") for body in bodies]
    return [picture.getpixel((0, 0)) for picture in pictures]  # pyright: ignore[reportReturnType]


def test_a_picture_that_is_replaced_between_two_samples(tmp_path: Path) -> None:
    shared, other = tmp_path / "shared.bmp", tmp_path / "other.bmp"
    colours = [(200, 0, 0), (0, 200, 0)]

    def save(path: Path, colour: tuple[int, int, int]) -> None:
        Image.new("RGB", (8, 8), colour).save(path)
        os.utime(path, (1, 1))  # of one length and time, whatever it shows

    async def upload(server: HostileServer) -> None:
        async with open_session() as session:
            client = Server(server.address, session)
            for path, colour in ((shared, 0), (shared, 0), (shared, 1), (other, 0), (shared, 0)):
                save(path, colours[colour])
                await client.upload(path)

    with hostile(0) as server:
        asyncio.run(upload(server))
        assert sent(server) == colours, "what was sent before is not sent again"


def test_a_picture_that_is_no_longer_there(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (8, 8)).save(path)

    async def upload(server: HostileServer) -> None:
        async with open_session() as session:
            client = Server(server.address, session)
            await client.upload(path)
            path.unlink()
            await client.upload(path)

    with hostile(0) as server, pytest.raises(SampleBrokenError, match="No such file"):
        asyncio.run(upload(server))
