"""Runs commands in the test's own process, which has its libraries loaded."""

from __future__ import annotations

import io
import logging
import os
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest import mock

from relation_tools.__main__ import main


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@dataclass(frozen=True)
class Said:
    """What a command says."""

    stdout: str
    stderr: str
    """What it logs, and what it writes there by itself."""


def run(*arguments: object, status: int = 0, environment: dict[str, str] | None = None) -> str:
    """Run ``python -m relation_tools`` with these arguments; return what it prints and what it logs."""
    done = run_apart(*arguments, status=status, environment=environment)
    return done.stdout + done.stderr


def run_apart(*arguments: object, status: int = 0, environment: dict[str, str] | None = None) -> Said:
    """The same; what it prints is kept apart from what it logs."""
    printed, complained = io.StringIO(), io.StringIO()
    said, root = _Lines(), logging.getLogger()
    level = root.level
    root.addHandler(said)
    root.setLevel(logging.INFO)
    try:
        with mock.patch.dict(os.environ, environment or {}), redirect_stdout(printed), redirect_stderr(complained):
            found = main([str(argument) for argument in arguments])
    except SystemExit as end:  # of argparse
        found = end.code
    finally:
        root.removeHandler(said)
        root.setLevel(level)
    done = Said(printed.getvalue(), complained.getvalue() + "\n".join(said.lines))
    assert found == status, done.stdout + done.stderr
    return done
