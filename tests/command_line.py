"""Runs commands in the test's own process, which has its libraries loaded."""

from __future__ import annotations

import io
import logging
import os
from contextlib import redirect_stdout
from unittest import mock

from relation_tools.__main__ import main


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def run(*arguments: object, status: int = 0, environment: dict[str, str] | None = None) -> str:
    """Run ``python -m relation_tools`` with these arguments; return what it prints and what it logs."""
    printed = io.StringIO()
    said, root = _Lines(), logging.getLogger()
    level = root.level
    root.addHandler(said)
    root.setLevel(logging.INFO)
    try:
        with mock.patch.dict(os.environ, environment or {}), redirect_stdout(printed):
            found = main([str(argument) for argument in arguments])
    finally:
        root.removeHandler(said)
        root.setLevel(level)
    text = printed.getvalue() + "\n".join(said.lines)
    assert found == status, text
    return text
