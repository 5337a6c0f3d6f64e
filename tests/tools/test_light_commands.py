"""What needs no PyTorch does without it: it takes 2 seconds and 400 MB in each process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def said(code: str, *arguments: object, **environment: str) -> str:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    environment = {**os.environ, **environment}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout


def test_help_and_the_dataset_commands_leave_pytorch_out() -> None:
    code = (
        "import importlib, sys; from relation_tools.__main__ import GROUPS; "
        "print([name for name in GROUPS if importlib.import_module(f'relation_tools.commands.{name}') "
        "and 'torch' in sys.modules], len(GROUPS))"
    )
    assert said(code).split() == ["[]", "9"]


def test_a_download_that_fails_leaves_pytorch_out(tmp_path: Path) -> None:
    code = (
        "import sys; from relation_tools.__main__ import main; "
        "print(main(['weights', 'download', '--to', sys.argv[1]]), 'torch' in sys.modules)"
    )
    assert said(code, tmp_path, HF_HUB_OFFLINE="1").split() == ["1", "False"]
