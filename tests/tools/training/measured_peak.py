"""A child process: the most memory that steps of a run take, beyond what a tiny run of its kind left. Linux alone."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

from relation_tools.training.settings import RunSettings
from relation_tools.training.settings_file import read_settings
from relation_tools.training.trainer import Trainer


def status(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def main() -> None:
    tiny, large = (read_settings(Path(file), RunSettings) for file in sys.argv[1:])
    for settings in (tiny, large):
        gc.collect()
        before = status("VmRSS")
        trainer = Trainer(settings)
        trainer._take_step()  # after which the moments are there
        Path("/proc/self/clear_refs").write_text("5")
        for _ in range(2):
            trainer._take_step()
        with trainer.average.applied():  # as for an export
            pass
        taken = status("VmHWM") - before
        del trainer
    print("taken", taken)


if __name__ == "__main__":
    main()
