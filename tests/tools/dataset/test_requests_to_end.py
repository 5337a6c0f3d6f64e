"""Signals end what makes a dataset at any moment; nothing that is done is lost, and the same command goes on."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest
from built import pictures_in, run, tree
from synthetic import Shape, hub_dataset

from relation_core.progress import Silent
from relation_tools.dataset import splitting
from relation_tools.dataset.landscapes import LandscapeOptions, write_landscapes
from tests.process_group import PATIENCE, group_is_gone, in_group, stop, wait_until, workers

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
DRAWN = LandscapeOptions(relations=60, scenes=60, pairs=2)
SHAPE = Shape(tasks=5, pictures=60, side=128)
Call = tuple[str | Path, ...]


@pytest.fixture(scope="module")
def landscapes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Call, Path]:
    """A command without its folder, and what it makes."""
    out = tmp_path_factory.mktemp("landscapes")
    write_landscapes(out, DRAWN, 1, Silent())
    return ("landscapes", "--relations=60", "--scenes=60", "--pairs=2", "--processes=2"), out


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Call, Path]:
    out, pairs = tmp_path_factory.mktemp("built"), hub_dataset(tmp_path_factory.mktemp("pairs"), SHAPE)
    call = ("build", "--per-task=200", pairs, "--processes=2")
    run("dataset", *call, out)
    return call, out


def goes_on(call: Call, out: Path, expected: dict[str, str], again: int) -> None:
    """Hold that what is there is right, and that the command makes the rest, and so many of these files again."""
    there = {path: path.stat().st_mtime_ns for path in out.rglob("*.*g")}
    found = tree(out)
    assert {name: expected[name] for name in found} == found
    run("dataset", *call, out)
    assert tree(out) == expected
    assert sum(path.stat().st_mtime_ns != made for path, made in there.items()) <= again


@pytest.mark.parametrize("whole_group", [False, True], ids=["command", "group"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("command", "pictures"), [("landscapes", 180), ("built", 600)])
def test_what_is_done_stays(
    command: str, pictures: int, number: int, whole_group: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    call, whole = request.getfixturevalue(command)
    with in_group("relation_tools", "dataset", *call, tmp_path) as process:
        wait_until(lambda: pictures_in(tmp_path) > 20, process)
        status, _ = stop(process, tmp_path, number, whole_group)
    assert status == 130 and pictures_in(tmp_path) < pictures
    goes_on(call, tmp_path, tree(whole), again=0)


@pytest.mark.parametrize("command", ["landscapes", "built"])
def test_a_worker_that_is_killed(command: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """As the system does where memory runs out."""
    call, whole = request.getfixturevalue(command)
    with in_group("relation_tools", "dataset", *call, tmp_path) as process:
        wait_until(lambda: pictures_in(tmp_path) > 20, process)
        workers(process)[0].kill()
        said, _ = process.communicate(timeout=PATIENCE)
        assert group_is_gone(process.pid, 5)
    assert process.returncode == 1 and "Traceback" not in said
    assert "One of 2 worker processes died (SIGKILL)" in said and "with fewer --processes" in said
    goes_on(call, tmp_path, tree(whole), again=0 if command == "landscapes" else 2 * splitting.CHUNK)


@pytest.mark.slow
@pytest.mark.parametrize("whole_group", [False, True], ids=["command", "group"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", ["landscapes", "built"])
def test_any_moment(
    command: str, number: int, whole_group: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    call, whole = request.getfixturevalue(command)
    rng, expected, stopped, finished = random.Random(0), tree(whole), 0, 0  # noqa: S311
    while stopped < 40:
        with in_group("relation_tools", "dataset", *call, tmp_path) as process:
            wait_until(lambda: list(tmp_path.rglob(".relation-adapter*lock")) or process.poll() is not None, process)
            time.sleep(rng.uniform(0, 1.5))
            status, _ = stop(process, tmp_path, number, whole_group)
        assert status in (0, 130, -number, -signal.SIGINT)  # the last where Python drops the first in code it compiles
        found = tree(tmp_path)
        assert {name: expected[name] for name in found} == found
        stopped += status != 0
        if found == expected:
            finished += 1
            shutil.rmtree(tmp_path)
            tmp_path.mkdir()
    print(f"stopped {stopped} times, finished {finished} times")
    run("dataset", *call, tmp_path)
    assert tree(tmp_path) == expected


def test_a_build_repeats_no_picture_after_a_request(
    built: tuple[Call, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, whole = built
    call, split, done = (*call[:-1], "--processes=1"), splitting._split, list[str]()

    def counted(*arguments: object) -> object:
        if len(done) == 70:  # in the second chunk
            os.kill(os.getpid(), signal.SIGINT)
        outcome = split(*arguments)
        done.append(str(arguments[0]))
        return outcome

    monkeypatch.setattr(splitting, "_split", counted)
    run("dataset", *call, tmp_path, status=130)
    assert len(done) == 71, "the picture was finished"
    run("dataset", *call, tmp_path)
    assert len(done) == len(set(done)) == 300
    assert tree(tmp_path) == tree(whole)
