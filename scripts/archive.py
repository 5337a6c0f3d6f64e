"""The files that the registry's archive is made of: those that neither git nor ``.comfyignore`` leaves out."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

PACK = Path(__file__).resolve().parents[1]
IGNORED = ".comfyignore"


def pack_files(*ignored: str) -> set[str]:
    """List the pack's files, by path from its root.

    Files that are not yet tracked count too, and the pack need not be a repository itself.

    Args:
        ignored: files in the pack's root with patterns of what to leave out, beside ``.gitignore``.
    """
    git = shutil.which("git") or "git"
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([git, "init", "--quiet", folder], check=True)  # noqa: S603
        command = [git, f"--git-dir={folder}/.git", f"--work-tree={PACK}", "ls-files", "-z", "--others"]
        patterns = [f"--exclude-from={PACK / name}" for name in ignored]
        listed = subprocess.run(  # noqa: S603
            [*command, "--exclude-standard", *patterns], cwd=PACK, stdout=subprocess.PIPE, check=True
        )
    return set(listed.stdout.decode().split("\0")) - {""}


def write_archive(folder: Path) -> None:
    """Copy the archive's files to a folder."""
    for name in pack_files(IGNORED):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PACK / name, target)
