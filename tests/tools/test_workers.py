"""Workers of a command end with it, whatever it is that ends one of them."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.process_group import PATIENCE, group_is_gone, in_group, send, wait_until, workers

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
WORK = "tests.divided_work"
REQUESTS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def begun(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.begun"))


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """How a command ends, once none of its processes is left."""
    said, _ = process.communicate(timeout=PATIENCE)
    assert group_is_gone(process.pid, 5)
    return process.returncode, said


def test_jobs_are_done_once_by_several_processes(tmp_path: Path) -> None:
    names = [f"job-{number}" for number in range(40)]
    with in_group(WORK, tmp_path, 3, *names) as process:
        status, said = ended(process)
    assert status == 0, said
    lines = [line.split() for line in said.splitlines()]
    assert sorted(line[0] for line in lines) == sorted(line[1] for line in lines) == sorted(names)
    assert str(process.pid) not in {line[-1] for line in lines}


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("whole_group", [False, True], ids=["command", "group"])
@pytest.mark.parametrize("number", REQUESTS)
def test_a_request_ends_all_of_them(tmp_path: Path, number: int, whole_group: bool, processes: int) -> None:
    with in_group(WORK, tmp_path, processes, "job-1", *(f"endless-{place}" for place in range(processes))) as process:
        wait_until(lambda: len(begun(tmp_path)) == processes, process)
        send(process, number, whole_group)
        status, said = ended(process)
    assert (status, said.splitlines()[1:]) == (130, [])
    assert [path.name for path in tmp_path.iterdir()] == ["job-1.done"], "they cleaned up"


@pytest.mark.parametrize("whole_group", [False, True], ids=["command", "group"])
def test_a_request_while_they_start(tmp_path: Path, whole_group: bool) -> None:
    with in_group(WORK, tmp_path, 8, *(f"endless-{place}" for place in range(8))) as process:
        wait_until(lambda: workers(process), process)
        send(process, signal.SIGTERM, whole_group)
        assert ended(process) == (130, "")
    assert begun(tmp_path) == []


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc")
def test_only_the_main_thread_of_a_worker_receives_requests(tmp_path: Path) -> None:
    """Another thread's would leave it asleep."""

    def blocked(task: Path) -> list[int]:
        (line,) = (line for line in (task / "status").read_text().splitlines() if line.startswith("SigBlk:"))
        return [number for number in REQUESTS if int(line.split()[1], 16) >> (number - 1) & 1]

    with in_group(WORK, tmp_path, 2, "endless-1", "endless-2") as process:
        wait_until(lambda: len(begun(tmp_path)) == 2, process)
        for worker in workers(process):
            tasks = {int(task.name): task for task in Path(f"/proc/{worker.pid}/task").iterdir()}
            assert blocked(tasks.pop(worker.pid)) == []
            assert [blocked(task) for task in tasks.values()] == [REQUESTS]


def test_a_request_that_comes_twice_is_one(tmp_path: Path) -> None:
    """As from ``timeout``, which signals a command and then its group."""
    with in_group(WORK, tmp_path, 2, "endless-1", "endless-2") as process:
        wait_until(lambda: len(begun(tmp_path)) == 2, process)
        for pause in (0.0, 0.0, 0.002, 0.01, 0.05):
            time.sleep(pause)
            if process.poll() is None:
                send(process, signal.SIGTERM, whole_group=True)
        status, said = ended(process)
    assert (status in (130, -signal.SIGTERM), said) == (True, "")  # the last may find the command at its end
    assert begun(tmp_path) == []


def test_a_worker_that_does_not_end_is_killed(tmp_path: Path) -> None:
    with in_group(WORK, tmp_path, 2, "endless-1", "stubborn-2") as process:
        wait_until(lambda: len(begun(tmp_path)) == 2, process)
        send(process, signal.SIGINT, whole_group=True)
        assert ended(process) == (130, "")
    assert begun(tmp_path) == ["stubborn-2"]


@pytest.mark.parametrize(("number", "named"), [(signal.SIGKILL, "SIGKILL"), (signal.SIGTERM, "exit status 0")])
def test_a_worker_that_is_killed_alone_is_told(tmp_path: Path, number: int, named: str) -> None:
    """As the system does where memory runs out."""
    with in_group(WORK, tmp_path, 2, "job-1", "endless-1", "endless-2") as process:
        wait_until(lambda: len(begun(tmp_path)) == 2, process)
        workers(process)[-1].send_signal(number)
        status, said = ended(process)
    assert status == 1 and "Traceback" not in said
    assert f"One of 2 worker processes died ({named}); expected all to finish." in said
    assert "with fewer --processes. What is done stays done." in said
    assert len(begun(tmp_path)) == (1 if number == signal.SIGKILL else 0), "the other one cleaned up"


def test_workers_end_when_their_command_is_killed(tmp_path: Path) -> None:
    with in_group(WORK, tmp_path, 2, "endless-1", "endless-2") as process:
        wait_until(lambda: len(begun(tmp_path)) == 2, process)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        assert group_is_gone(process.pid)
    assert begun(tmp_path) == []


def test_an_error_of_a_worker_is_raised_by_the_command(tmp_path: Path) -> None:
    with in_group(WORK, tmp_path, 2, "wrong-1", "endless-1") as process:
        status, said = ended(process)
    assert status == 1 and "It went wrong: 'wrong-1'" in said
    assert begun(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("whole_group", [False, True], ids=["command", "group"])
@pytest.mark.parametrize("number", REQUESTS)
def test_a_request_at_any_moment(tmp_path: Path, number: int, whole_group: bool) -> None:
    rng, stopped = random.Random(int(number)), 0  # noqa: S311
    names = [f"job-{place}" for place in range(200)]
    for _ in range(100):
        with in_group(WORK, tmp_path, 4, *names) as process:
            wait_until(lambda: psutil.Process(process.pid).children(), process)
            time.sleep(rng.uniform(0, 0.5))
            running = process.poll() is None
            if running:
                send(process, number, whole_group)
            status, said = ended(process)
        assert "Traceback" not in said and "ignored" not in said, said
        assert status in ((0, 130, -number) if running else (0,))
        stopped += status == 130
        assert begun(tmp_path) == []
    print(f"{stopped} of 100 runs were stopped")
    assert stopped > 30
