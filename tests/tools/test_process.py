"""Closed, full and foreign streams, libraries that are old or missing, and requests to end, over the commands."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from relation_tools.commands.extras import LEAST

ROOT = Path(__file__).resolve().parents[2]
MODELS = [f"--{name}=x" for name in ("model", "adapter", "vision", "vae")]
COMMANDS = {
    "train": ["train", "x.toml"],
    "measure": ["measure", "x.jsonl", "--cache=x", *MODELS],
    "edit": ["edit", "--before=x", "--after=x", "--source=x", "--out=x", *MODELS],
    "encode": ["encode", "--before=x", "--after=x", "--out=x.safetensors", "--adapter=x", "--vision=x"],
    "tune": ["tune", "--before=x", "--after=x", "--out=x.safetensors", *MODELS],
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tasks with Chinese names."""
    folder = tmp_path_factory.mktemp("dataset")
    Image.new("RGB", (8, 8)).save(folder / "a.png")
    lines = [
        json.dumps({"cond1": "a.png", "cond2": "a.png", "source": f"雨{number}/a.png", "target": "a.png", "text": "x"})
        for number in range(300)
    ]
    (folder / "test.jsonl").write_text("\n".join(lines))
    return folder / "test.jsonl"


def shell(line: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "relation_tools", *map(str, arguments)]
    return subprocess.run(
        ["/bin/bash", "-c", line, "bash", *command],
        cwd=ROOT,
        capture_output=True,
        env={**os.environ, **environment},
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("line", "status", "says"),
    [
        ('"$@" > /dev/full', 1, b"No space left on device"),
        ('"$@" >&-', 1, b"Cannot read or write"),
        ('"$@" | true; exit ${PIPESTATUS[0]}', 141, b""),
        ('"$@" > /dev/null 2>&-', 0, b""),
    ],
)
def test_output_that_cannot_be_written(dataset: Path, line: str, status: int, says: bytes) -> None:
    done = shell(line, "dataset", "stats", dataset)
    assert done.returncode == status, done.stderr[-2000:]
    assert says in done.stderr and b"Traceback" not in done.stderr and b"Exception ignored" not in done.stderr


def test_little_output_that_cannot_be_written(dataset: Path, tmp_path: Path) -> None:
    """What the stream still holds at the end is as lost as what it could not write before."""
    few = tmp_path / "few.jsonl"
    few.write_text(dataset.read_text().splitlines()[0])
    done = shell('"$@" > /dev/full', "dataset", "stats", few, PYTHONUNBUFFERED="")
    assert done.returncode == 1 and b"No space left" in done.stderr and b"Exception ignored" not in done.stderr


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_names_that_the_terminal_has_no_letters_for(dataset: Path, encoding: str) -> None:
    done = shell('"$@"', "dataset", "stats", dataset, PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr[-2000:]
    assert ("雨7" if encoding == "utf-8" else "\\u96e87").encode() in done.stdout


@pytest.mark.parametrize(
    ("package", "version"), [("diffusers", "0.30.0"), ("transformers", "4.40.1"), ("diffusers", "")]
)
def test_an_old_or_missing_library_is_named(tmp_path: Path, package: str, version: str) -> None:
    (tmp_path / package).mkdir()
    line = f"__version__ = {version!r}" if version else "raise ImportError('gone')"
    (tmp_path / package / "__init__.py").write_text(line + "\n")
    code = f"from relation_tools.commands.extras import require; require('training', {package!r})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        check=False,
    )
    found = (
        f"{package} {LEAST[package]} or newer; found {version}"
        if version
        else "diffusers, which is not installed whole"
    )
    assert f"MissingLibraryError: This needs {found}" in done.stderr and "pip install '.[training]'" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("package", "version"), [("diffusers", "0.30.0"), ("transformers", "4.40.1")])
def test_libraries_that_are_too_old(tmp_path: Path, command: str, package: str, version: str) -> None:
    if command == "encode" and package == "diffusers":
        command = "edit"
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text(f"__version__ = {version!r}\n")
    done = shell('"$@"', *COMMANDS[command], PYTHONPATH=str(tmp_path))
    said = done.stderr.decode()
    assert done.returncode == 1 and "Traceback" not in said
    assert f"This needs {package} {LEAST[package]} or newer; found {version}" in said and "pip install '.[" in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "package"),
    [("train", "matplotlib"), ("tune", "matplotlib"), ("measure", "peft"), ("train", "einops"), ("edit", "peft")],
)
def test_libraries_that_are_missing(tmp_path: Path, command: str, package: str) -> None:
    (tmp_path / f"{package}.py").write_text("raise ImportError('gone')\n")
    done = shell('"$@"', *COMMANDS[command], PYTHONPATH=str(tmp_path))
    said = done.stderr.decode()
    assert done.returncode == 1 and "Traceback" not in said
    assert f"This needs {package}, which is not installed" in said and "pip install '.[" in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_request_to_end_leaves_nothing(tmp_path: Path, number: int) -> None:
    code = (
        "import signal, sys, time, types; from pathlib import Path; "
        "signal.signal(signal.SIGHUP, signal.SIG_DFL); "  # nohup has it ignored, and so do the children
        "import relation_tools.__main__ as m; from relation_core.weights.atomic import appearing\n"
        "def work(_):\n"
        f"    with appearing(Path({str(tmp_path / 'x')!r})) as part:\n"
        "        part.write_bytes(bytes(1 << 20)); print('ready', flush=True); time.sleep(60)\n"
        "import relation_tools.commands.train as train; train._train = work\n"
        "sys.exit(m.main(['train', 'x.toml']))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == b"ready"
    time.sleep(0.1)
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130 and b"Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def test_a_request_that_is_ignored_ends_nothing() -> None:
    """As under ``nohup``; afterwards it is ignored still."""
    code = (
        "import os, signal; from relation_tools.ending import ending_cleanly\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "with ending_cleanly():\n"
        "    os.kill(os.getpid(), signal.SIGHUP)\n"
        "os.kill(os.getpid(), signal.SIGHUP)\n"
        "print('done')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    assert done.stdout.strip() == b"done"
