"""Checks the archive with the community's own tools, without the network: ``python -m scripts.check_pack [COMFYUI]``.

comfy-test's lint looks at the source, comfy-import-guard holds every name that is taken from ComfyUI, and every call of
it, against that ComfyUI. ``scripts.node_files`` starts it and holds the translations against the nodes' schemas.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from comfyui_host.find import PACK

from .archive import write_archive

logger = logging.getLogger(__name__)

NOT_SOURCE = ("custom_nodes", "models", "input", "output", "temp", "user", "venv")


def main(arguments: list[str]) -> int:
    """Run all; a tool's words are shown where it found something."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    # It takes the longest, so it runs beside the others.
    files = _start("scripts.node_files", arguments[0], "--check") if arguments else None
    with tempfile.TemporaryDirectory() as folder:
        install = Path(folder) / "install"
        archive = install / "custom_nodes" / "relation-adapter"
        write_archive(archive)
        passed = lint(archive)
        if arguments:
            passed &= guard(install, Path(arguments[0]), Path(folder) / "cache")
    if files is not None:
        passed &= _ended_well("scripts.node_files", files)
    else:
        logger.info("comfy-import-guard and scripts.node_files were skipped: no ComfyUI was found.")
    return 0 if passed else 1


def lint(archive: Path) -> bool:
    """Look for what does not belong in a ComfyUI pack, such as a device by name."""
    return _passed("comfy-test", "lint", "--strict", str(archive))


def guard(install: Path, comfyui: Path, cache: Path) -> bool:
    """Look for names and calls that this ComfyUI does not have.

    Args:
        install: a folder whose ``custom_nodes`` has the pack.
        comfyui: a ComfyUI, a git checkout or not.
        cache: an empty folder; the tool reads a repository in it.
    """
    repository = cache / "ComfyUI"
    for source in comfyui.rglob("*.py"):
        path = source.relative_to(comfyui)
        if path.parts[0] not in NOT_SOURCE and not path.parts[0].startswith("."):
            (repository / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, repository / path)
    git = [shutil.which("git") or "git", "-C", str(repository), "-c", "user.name=-", "-c", "user.email=-"]
    for command in (["init", "--quiet"], ["add", "--all", "--force"], ["commit", "--quiet", "--message=source"]):
        subprocess.run([*git, *command], check=True)  # noqa: S603
    options = ["--offline", "--quiet", "--cache-dir", str(cache)]
    return _passed("comfy-import-guard", *options, "check", "--comfy-dir", str(install), "--target=HEAD", "--strict")


def _passed(tool: str, *arguments: str) -> bool:
    program = shutil.which(tool, path=str(Path(sys.executable).parent)) or tool
    return _ended_well(tool, _started(program, *arguments))


def _start(module: str, *arguments: str) -> subprocess.Popen[str]:
    return _started(sys.executable, "-m", module, *arguments)


def _started(*command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=PACK)  # noqa: S603


def _ended_well(tool: str, process: subprocess.Popen[str]) -> bool:
    """Wait for a tool; show what it says where it failed."""
    said = process.communicate()[0]
    if process.returncode:
        logger.error("%s", said)
    else:
        logger.info("%s: passed", tool)
    return process.returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
