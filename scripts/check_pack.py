"""Checks the archive with the community's own tools, without the network: ``python -m scripts.check_pack [COMFYUI]``.

comfy-test's lint looks at the source, comfy-import-guard holds every name that is taken from ComfyUI, and every call of
it, against that ComfyUI.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from .archive import write_archive

logger = logging.getLogger(__name__)

NOT_SOURCE = ("custom_nodes", "models", "input", "output", "temp", "user", "venv")


def main(arguments: list[str]) -> int:
    """Run both; a tool's words are shown where it found something."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with tempfile.TemporaryDirectory() as folder:
        install = Path(folder) / "install"
        archive = install / "custom_nodes" / "relation-adapter"
        write_archive(archive)
        passed = lint(archive)
        if arguments:
            passed &= guard(install, Path(arguments[0]), Path(folder) / "cache")
        else:
            logger.info("comfy-import-guard was skipped: no ComfyUI was found.")
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
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        logger.error("%s%s", done.stdout, done.stderr)
    else:
        logger.info("%s: passed", tool)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
