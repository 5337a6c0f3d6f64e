"""On a machine without a ComfyUI the host tests are skipped, and the run says so loudly and in words."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_run_says_what_was_not_tested() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--color=no", "-p", "no:cacheprovider", "tests/comfyui"],
        cwd=ROOT,
        env={**os.environ, "COMFYUI_PATH": str(ROOT / "no" / "such" / "folder")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    skipped = re.search(r"=+ (\d+) skipped", done.stdout)
    assert skipped and int(skipped[1]) > 1, done.stdout
    assert re.search(r"!{10,} ComfyUI was NOT tested !{10,}", done.stdout)
    assert f"No ComfyUI was found, so all {skipped[1]} tests that run the nodes inside a real one were" in done.stdout
    assert "Set COMFYUI_PATH to a ComfyUI checkout" in done.stdout
    assert not re.search(r"\b(passed|failed|error)", done.stdout.splitlines()[-1])
