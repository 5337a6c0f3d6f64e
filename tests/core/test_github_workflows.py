"""The workflows of GitHub test what the README and the metadata promise."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import yaml

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]


def jobs(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text(encoding="utf-8"))["jobs"]


def metadata() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_every_promised_comfyui_is_tested() -> None:
    tested = [tag.removeprefix("v") for tag in jobs("test.yml")["host"]["strategy"]["matrix"]["comfyui"]]
    (promised,) = re.findall(
        r"^Tested on ComfyUI (.+)\.$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert tested == re.split(", | and ", promised)
    assert metadata()["tool"]["comfy"]["requires-comfyui"] == f">={tested[0]}"


def test_the_core_is_tested_on_every_system_and_python() -> None:
    matrix = jobs("test.yml")["core"]["strategy"]["matrix"]
    assert {name.partition("-")[0] for name in matrix["os"]} == {"ubuntu", "windows", "macos"}
    assert metadata()["project"]["requires-python"] == f">={matrix['python'][0]}"
    assert matrix["python"] == [f"3.{minor}" for minor in range(10, 10 + len(matrix["python"]))]


def test_the_core_job_runs_all_that_make_check_runs() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    checks = re.findall(r"^(check-\w+):.*\n((?:\t.+\n)+)", makefile, re.MULTILINE)
    called = re.search(r"^check:.*\n\t.+?((?: check-\w+)+)$", makefile, re.MULTILINE)
    assert called is not None and set(called[1].split()) == {name for name, _ in checks}
    lines = [line for _, recipe in checks for line in recipe.splitlines()]
    expected = [line.strip().removeprefix("$(BIN)/").removesuffix(" $(COMFYUI)") for line in lines]
    run = [step.get("run") for step in jobs("test.yml")["core"]["steps"]]
    assert expected and [line for line in run if line in expected] == expected


def test_the_nightly_run_tests_the_upstream_s_master_as_the_tagged_versions_are_tested() -> None:
    text = (ROOT / ".github" / "workflows" / "nightly.yml").read_text(encoding="utf-8")
    nightly, tagged = (jobs(name)["host"]["steps"] for name in ("nightly.yml", "test.yml"))
    checkouts = [step["with"] for step in nightly if step.get("uses", "").startswith("actions/checkout")]
    assert {"repository": "Comfy-Org/ComfyUI", "ref": "master", "path": "ComfyUI"} in checkouts
    assert re.search(r'^  schedule:\n    - cron: "\d+ \d+ \* \* \*"$', text, re.MULTILINE), "not every night"
    commands = [step["run"] for step in tagged if "scripts.run_versions" in step.get("run", "")]
    assert commands and [step["run"] for step in nightly if "scripts.run_versions" in step.get("run", "")] == commands


def test_publishing_is_for_the_repository_that_the_metadata_names() -> None:
    owner = metadata()["project"]["urls"]["Repository"].split("/")[3]
    assert jobs("publish.yml")["publish"]["if"] == f"github.repository_owner == '{owner}'"


def test_the_changelog_begins_with_the_version_of_the_metadata() -> None:
    headings = re.findall(r"^## \[(.+?)\] - (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    version, date = headings[0]
    assert version == metadata()["project"]["version"]
    assert re.fullmatch(r"unreleased|\d{4}-\d\d-\d\d", date)
