"""What a run was measured on."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import Any

import torch

from scripts.run_versions import version_of

from .comfyui import find


def describe_machine(sizes: str, load_before: float) -> dict[str, Any]:
    """Name processor, cores, memory and versions, once the work on it is done.

    Args:
        sizes: name of the run's sizes.
        load_before: the machine's load average when the run began.
    """
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    processor = re.search(r"model name\s*: (.*)", cpuinfo)
    capability = torch.backends.cpu.get_cpu_capability()
    return {
        "processor": processor[1] if processor else platform.processor(),
        "instructions": f"{capability}, AMX" if "amx_bf16" in cpuinfo else capability,
        "cores": os.cpu_count(),
        "memory_gb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "comfyui": version_of(find()),
        "sizes": sizes,
        "load_before": load_before,
        "load_after": os.getloadavg()[0],
    }
