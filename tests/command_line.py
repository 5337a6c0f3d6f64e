"""Runs commands in the test's own process, which has its libraries loaded."""

from __future__ import annotations

import io
import logging
import os
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest import mock

from relation_tools.__main__ import main
from relation_tools.commands.shown import OneLine


@dataclass(frozen=True)
class Said:
    """How a command ends and what it says."""

    status: object
    stdout: str
    stderr: str
    """What it logs, and what it writes there by itself."""


def run(*arguments: object, status: int = 0, environment: dict[str, str] | None = None) -> str:
    """Run ``python -m relation_tools`` with these arguments; return what it prints and what it logs."""
    done = run_apart(*arguments, status=status, environment=environment)
    return done.stdout + done.stderr


def run_apart(*arguments: object, status: int = 0, environment: dict[str, str] | None = None) -> Said:
    """The same; what it prints is kept apart from what it logs."""
    done = try_run(*arguments, environment=environment)
    assert done.status == status, done.stdout + done.stderr
    return done


def try_run(*arguments: object, environment: dict[str, str] | None = None, encoding: str = "utf-8") -> Said:
    """The same, however it ends, on streams of an encoding."""
    bytes_printed, bytes_complained = io.BytesIO(), io.BytesIO()
    printed = io.TextIOWrapper(bytes_printed, encoding, write_through=True)
    complained = io.TextIOWrapper(bytes_complained, encoding, write_through=True)
    shown, root = logging.StreamHandler(complained), logging.getLogger()
    shown.setFormatter(OneLine())
    level = root.level
    root.addHandler(shown)
    root.setLevel(logging.INFO)
    try:
        with mock.patch.dict(os.environ, environment or {}), redirect_stdout(printed), redirect_stderr(complained):
            found: object = main([str(argument) for argument in arguments])
    except SystemExit as end:  # of argparse
        found = end.code
    finally:
        root.removeHandler(shown)
        root.setLevel(level)
    return Said(found, bytes_printed.getvalue().decode(encoding), bytes_complained.getvalue().decode(encoding))
