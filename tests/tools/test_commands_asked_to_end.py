"""Every command is told to end at times drawn at random, from its first import to its last file."""

from __future__ import annotations

import random
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.every_command import COMMANDS, NO_SERVER, prepare
from tests.process_group import group_is_gone, in_group, send

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="signals and process groups of Linux"),
]
TIMES = 4
"""How often each is told."""
SOON, AT_ONCE = 20.0, 0.5
"""Seconds in which it has to end on a machine with as much to do again, and in which the system ends one that does not
listen."""
BEGUN = 1.0
"""Seconds that Python itself, and the first imports, may take; Python answers Ctrl-C in them, with where it was."""
ENDED = (130, 0, 1)
"""By the request; or by itself before it came, as some do with an error on what they are given here."""


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("given")
    prepare(folder)
    return folder


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_is_told_to_end_does_so_and_leaves_no_trace(name: str, given: Path, tmp_path: Path) -> None:
    draw = random.Random(name)  # noqa: S311 - no secret
    whole = _ended(name, given, tmp_path / "whole")
    told = 0
    for number in range(TIMES):
        out = tmp_path / str(number)
        after = draw.uniform(0.05, 0.95) * whole
        sent = (signal.SIGINT, signal.SIGTERM)[number % 2]
        found, taken, said = _told(name, given, out, after, sent)
        by_the_system = found == -sent and taken < AT_ONCE  # before it could listen, or once its work was done
        what = f"status {found} {taken:.1f} s after {after:.1f} s of {whole:.1f}: {said}"
        assert by_the_system or (found in ENDED and taken < SOON) or after < BEGUN, what
        assert after < BEGUN or ("Traceback" not in said and "ignored" not in said), what
        assert list(out.rglob(".relation-adapter*.parts")) == []
        told += found == 130 or by_the_system
    assert told, f"none was ended by the request; alone it took {whole:.1f} s"
    _ended(name, given, tmp_path / str(TIMES - 1))  # what is there is no hindrance


def _ended(name: str, given: Path, out: Path) -> float:
    """Seconds that a command takes which nobody stops."""
    started = time.monotonic()
    with in_group("relation_tools", *name.split(), *_arguments(name, given, out), **NO_SERVER) as process:
        said, _ = process.communicate(timeout=300)
    assert process.returncode in (0, 1) and "Traceback" not in said, said
    return time.monotonic() - started


def _told(name: str, given: Path, out: Path, after: float, number: signal.Signals) -> tuple[int, float, str]:
    """Status of a command that is signalled after some seconds, the seconds until it had ended, and what it said."""
    with in_group("relation_tools", *name.split(), *_arguments(name, given, out), **NO_SERVER) as process:
        time.sleep(after)
        started = time.monotonic()
        if process.poll() is None:
            send(process, number, whole_group=True)
        said, _ = process.communicate(timeout=120)
        assert group_is_gone(process.pid, 10)
        return process.returncode, time.monotonic() - started, said


def _arguments(name: str, given: Path, out: Path) -> list[object]:
    if not out.exists():
        shutil.copytree(given / "run", out / "run")
    return COMMANDS[name](given, out)
