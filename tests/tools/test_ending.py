"""Requests to end a command end it once, and none gets lost."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from relation_core.progress import Silent
from relation_tools.dataset import contents
from tests.process_group import PATIENCE, ROOT

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
ENDING = """
import os, signal, sys, time
from relation_tools.ending import ending_cleanly, uninterrupted
"""


def in_python(code: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", ENDING + code], capture_output=True, text=True, cwd=ROOT, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_a_request_that_python_drops_is_raised_again(number: str) -> None:
    """It drops what is raised in a destructor, and in the callbacks of its imports."""
    code = f"""
class Fragile:
    def __del__(self):
        os.kill(os.getpid(), signal.{number})
        print("going")
        print("gone")
try:
    with ending_cleanly():
        Fragile()
        time.sleep(20)
        print("lost")
except KeyboardInterrupt:
    print("ended")
"""
    assert in_python(code)[-1] == "ended"


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_a_request_that_an_import_drops_is_raised_again(number: str, tmp_path: Path) -> None:
    """Modules take any exception for the lack of a library, here two, one in the other."""
    (tmp_path / "inner.py").write_text(f"""
import os, signal, time
try:
    os.kill(os.getpid(), signal.{number})
    time.sleep(20)
except:
    print("dropped")
time.sleep(20)
""")
    (tmp_path / "outer.py").write_text("""
import time
try:
    import inner
except:
    print("dropped too")
time.sleep(20)
""")
    code = f"""
sys.path.insert(0, {str(tmp_path)!r})
try:
    with ending_cleanly():
        import outer
        print("lost")
except KeyboardInterrupt:
    print("ended")
"""
    assert in_python(code) == ["dropped", "dropped", "too", "ended"]


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_a_request_is_put_off(number: str) -> None:
    code = f"""
try:
    with ending_cleanly():
        with uninterrupted():
            os.kill(os.getpid(), signal.{number})
            time.sleep(0.1)
            print("whole")
        print("late")
except KeyboardInterrupt:
    print("ended")
"""
    assert in_python(code) == ["whole", "ended"]


def test_tuning_stops_after_its_step_when_a_request_comes_twice() -> None:
    """As from ``timeout``, which signals a command and then its group; another request ends it at once."""
    code = """
from relation_tools.tuning.interrupt import asked_to_stop
with asked_to_stop() as asked:
    print(asked())
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)
    print(asked())
    time.sleep(2.1)
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(20)
    except KeyboardInterrupt:
        print("ended")
"""
    assert in_python(code) == ["False", "True", "ended"]


def test_an_interrupt_does_not_wait_for_all_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(Silent):
        def step(self) -> None:
            raise KeyboardInterrupt

    def looked(path: Path) -> contents.Content:
        time.sleep(0.001)
        seen.append(path)
        return contents.Content()

    seen: list[Path] = []
    monkeypatch.setattr(contents, "_look", looked)
    with pytest.raises(KeyboardInterrupt):
        contents.look_into(tmp_path, [f"{number}.png" for number in range(4000)], Interrupted())
    assert 0 < len(seen) < 4000


def test_an_interrupt_in_the_code_of_a_string_gives_the_status_of_any_other(tmp_path: Path) -> None:
    """Dataclasses run such code while they are imported, and Python would end by SIGINT in place of the status."""
    code = "def run(_arguments):\n    exec('raise KeyboardInterrupt')\ncommand._run = run\nsys.exit(command.main([]))\n"
    (tmp_path / "interrupted.py").write_text(f"import sys\nfrom relation_tools import __main__ as command\n{code}")
    path = os.pathsep.join((str(tmp_path), str(ROOT)))
    done = subprocess.run([sys.executable, "-m", "interrupted"], env={**os.environ, "PYTHONPATH": path}, check=False)
    assert done.returncode == 130
