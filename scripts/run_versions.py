"""Runs the host tests against several ComfyUIs, one after another: ``python -m scripts.run_versions COMFYUI...``.

What follows ``--`` goes to pytest. Every run's output is kept in ``build/versions``.
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from pathlib import Path

PACK = Path(__file__).resolve().parents[1]
LOGS = PACK / "build" / "versions"

logger = logging.getLogger(__name__)


def main(arguments: list[str], logs: Path = LOGS) -> int:
    """Say in a line for each ComfyUI how its tests ended; 0 if all of them passed."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    end = arguments.index("--") if "--" in arguments else len(arguments)
    folders, options = [Path(name).expanduser().resolve() for name in arguments[:end]], arguments[end + 1 :]
    if not folders:
        logger.error("No ComfyUI is named. Name some: make test-versions COMFYUI_VERSIONS='~/comfyui-a ~/comfyui-b'")
        return 2
    results = [run(folder, options, logs) for folder in folders]
    return 0 if all(results) else 1


def run(comfyui: Path, options: list[str], logs: Path) -> bool:
    """Run the host tests in one ComfyUI."""
    version = version_of(comfyui)
    if version is None:
        logger.error("FAILED    %s is no ComfyUI: it has no comfyui_version.py", comfyui)
        return False
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"{version}.log"
    with log.open("w", encoding="utf-8") as output:
        command = [sys.executable, "-m", "pytest", "tests/comfyui", *options]
        environment = {**os.environ, "COMFYUI_PATH": str(comfyui)}
        done = subprocess.run(  # noqa: S603
            command, cwd=PACK, env=environment, stdout=output, stderr=subprocess.STDOUT, check=False
        )
    counts = log.read_text(encoding="utf-8", errors="replace").rstrip().rpartition("\n")[2].strip("= ")
    passed = done.returncode == 0
    logger.info("%-9s ComfyUI %-8s %s (%s)", "passed" if passed else "FAILED", version, counts, log)
    return passed


def version_of(comfyui: Path) -> str | None:
    """Read the version of a ComfyUI; None where there is none."""
    file = comfyui / "comfyui_version.py"
    found = re.search(r'__version__ = "(.+)"', file.read_text(encoding="utf-8")) if file.is_file() else None
    return found[1] if found else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
