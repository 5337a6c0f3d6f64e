"""`pip install '.[evaluation]'` brings all that scoring needs: nothing else that is installed here is there."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, requires
from pathlib import Path

import pytest
from finished_run import make_run
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from small_models import save_clip, save_dino, save_trunk

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.slow


def needed(extra: str) -> set[str]:
    """The packages of an extra, and all that these need."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (listed,) = re.findall(rf"^optional-dependencies\.{extra} = (\[.*\])$", project, re.MULTILINE)
    waiting, found = [Requirement(text) for text in ast.literal_eval(listed)], set[str]()
    while waiting:
        one = waiting.pop()
        if canonicalize_name(one.name) not in found and (one.marker is None or one.marker.evaluate({"extra": ""})):
            found.add(canonicalize_name(one.name))
            waiting.extend(_requirements(one.name))
    return found


def _requirements(name: str) -> Iterator[Requirement]:
    try:
        yield from map(Requirement, requires(name) or [])
    except PackageNotFoundError:
        return


def install(folder: Path, extra: str) -> Path:
    """Make a folder of modules that has what the extra installs, by links, and nothing else."""
    folder.mkdir()
    for name in needed(extra):
        try:
            package = distribution(name)
        except PackageNotFoundError:  # for another system
            continue
        for top in {file.parts[0] for file in package.files or []} - {"..", "__pycache__"}:
            if not (folder / top).exists():
                (folder / top).symlink_to(Path(str(package.locate_file(top))))
    return folder


def test_all_scores_are_made_with_what_the_extra_installs(tmp_path: Path) -> None:
    made = make_run(tmp_path)
    models = ["--clip", save_clip(tmp_path / "clip"), "--dino", save_dino(tmp_path / "dino")]
    models += ["--lpips", save_trunk(tmp_path / "alexnet.pth"), "--preservation"]
    installed = install(tmp_path / "installed", "evaluation")
    assert (installed / "torch").exists() and not (installed / "diffusers").exists()
    arguments = ["-S", "-m", "relation_tools", "evaluate", "score", made.file, made.folder, *models]
    environment = {**os.environ, "PYTHONPATH": f"{installed}{os.pathsep}{ROOT}"}
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert all(None not in (one["clip_i"], one["dino"], one["lpips"]) for one in made.scores())
