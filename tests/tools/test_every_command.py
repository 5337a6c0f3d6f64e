"""Every command of the command line on a full disk, with its output closed, and with names that no code page has."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from relation_tools.__main__ import GROUPS, build_parser
from tests.command_line import Said, try_run
from tests.every_command import COMMANDS, NO_SERVER, prepare

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="shells, disks and names of Linux")
HEAVY = ("edit", "pretrain autoencoder", "train", "tune")
"""They work for seconds."""
APART = ("train", "weights download")
"""They set up libraries for their whole process, or need them set up by its environment."""
READERS = ("dataset validate", "dataset stats", "weights inspect")
"""They write nothing but their output."""
OF_ALL = [pytest.param(name, marks=pytest.mark.slow if name in HEAVY else ()) for name in COMMANDS]
WRITERS = [one for one in OF_ALL if one.values[0] not in READERS]


def leaves(parser: argparse.ArgumentParser, name: str = "") -> Iterator[str]:
    """The names of all commands."""
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not inner:
        yield name
    for action in inner:
        for word, command in action.choices.items():
            yield from leaves(command, f"{name} {word}".strip())


def test_no_command_is_left_out() -> None:
    assert sorted(leaves(build_parser(GROUPS))) == sorted(COMMANDS)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What every command needs to do its work."""
    folder = tmp_path_factory.mktemp("given")
    prepare(folder)
    return folder


def end(name: str, arguments: list[object], line: str = '"$@"', encoding: str = "utf-8") -> Said:
    """Run a command to its end, in this process where it can be."""
    if line == '"$@"' and name not in APART:
        return try_run(*name.split(), *arguments, encoding=encoding)
    done = run(name, arguments, line, PYTHONIOENCODING=encoding)
    return Said(done.returncode, done.stdout.decode(encoding), done.stderr.decode(encoding))


def run(
    name: str, arguments: list[object], line: str = '"$@"', **environment: str
) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "relation_tools", *name.split(), *map(str, arguments)]
    return subprocess.run(
        ["/bin/bash", "-c", line, "bash", *command],
        cwd=ROOT,
        capture_output=True,
        env={**os.environ, **NO_SERVER, **environment},
        check=False,
        timeout=300,
    )


@pytest.fixture
def full_disk(given: Path, tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder in which nothing more can be written, and how commands are to be run for that to be so."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount, unmount = shutil.which("mount"), shutil.which("umount")
    options = ("-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder))
    mounted = mount and unmount and subprocess.run([mount, *options], capture_output=True, check=False).returncode == 0
    shutil.copytree(given / "run", folder / "run")
    if not (mounted and unmount):  # not allowed: let no process write a longer file than none
        yield folder, 'ulimit -f 0; "$@"'
        return
    try:
        with pytest.raises(OSError, match="No space left"):
            (folder / "filler").write_bytes(bytes(1 << 22))
        yield folder, '"$@"'
    finally:
        subprocess.run([unmount, folder], check=True)


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk(name: str, given: Path, full_disk: tuple[Path, str]) -> None:
    folder, line = full_disk
    before = contents(folder)
    done = end(name, COMMANDS[name](given, folder), line)
    assert done.status == 1 and "Traceback" not in done.stderr, done
    reasons = ("No space left on device", "File too large", "GB of room")
    assert name == "weights download" or any(reason in done.stderr for reason in reasons), done
    assert contents(folder) == before and not list(folder.rglob(".relation-adapter*"))


def contents(folder: Path) -> dict[Path, bytes]:
    """All files that hold something."""
    files = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {path: data for path, data in files.items() if data}


@pytest.mark.parametrize("name", ["dataset validate", "dataset stats"])
@pytest.mark.parametrize(
    ("line", "status", "says"),
    [
        ('"$@" > /dev/full', 1, b"No space left on device"),
        ('"$@" >&-', 1, b"Cannot read or write"),
        ('"$@" | true; exit ${PIPESTATUS[0]}', 141, b""),
    ],
)
def test_output_that_nobody_takes(name: str, line: str, status: int, says: bytes, given: Path, tmp_path: Path) -> None:
    done = run(name, COMMANDS[name](given, tmp_path), line)
    assert done.returncode == status, done.stderr
    assert says in done.stderr and b"Traceback" not in done.stderr and b"Exception ignored" not in done.stderr


@pytest.mark.parametrize("name", {name.split()[0]: name for name in COMMANDS}.values())
@pytest.mark.parametrize(
    ("line", "status", "says"),
    [
        ('"$@" > /dev/full', 1, b"No space left on device"),
        ('"$@" | true; exit ${PIPESTATUS[0]}', 141, b""),
        ('"$@" | head -1', 0, b""),
    ],
)
def test_help_that_nobody_takes(name: str, line: str, status: int, says: bytes) -> None:
    done = run(name, ["--help"], f"set -o pipefail; {line}" if "head" not in line else line)
    assert done.returncode == status, done.stderr
    assert says in done.stderr and b"Traceback" not in done.stderr and b"Exception ignored" not in done.stderr


@pytest.mark.parametrize("name", OF_ALL)
@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_names_that_the_code_page_lacks(name: str, encoding: str, tmp_path: Path) -> None:
    """What is missing is named, in escapes where there are no letters for it."""
    missing = tmp_path / os.fsdecode("雨".encode() + b"\xff")
    arguments = [str(one).replace(str(ROOT), str(missing)) for one in COMMANDS[name](missing, missing)]
    done = end(name, arguments, encoding=encoding)
    said = done.stdout + done.stderr
    assert "Traceback" not in said and "UnicodeEncodeError" not in said, said
    if name == "dataset landscapes":
        assert done.status == 0 and "\\u96e8\\udcff" in said, said
    else:
        assert done.status == 1 and ("\\u96e8\\udcff" in said or name == "weights download"), said
    assert not list(tmp_path.rglob(".relation-adapter*"))
