"""What needs no PyTorch does without it: it takes 2 seconds and 400 MB in each process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_help_and_the_dataset_commands_leave_pytorch_out() -> None:
    code = (
        "import importlib, sys; from relation_tools.__main__ import GROUPS; "
        "print([name for name in GROUPS if importlib.import_module(f'relation_tools.commands.{name}') "
        "and 'torch' in sys.modules], len(GROUPS))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "9"]
