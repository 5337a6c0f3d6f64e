"""Dataset commands need no PyTorch, which takes 2 seconds and 400 MB in each of their processes."""

from __future__ import annotations

import subprocess
import sys

from built import ROOT


def test_the_dataset_commands_leave_pytorch_out() -> None:
    code = "import sys; import relation_tools.commands.dataset; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
