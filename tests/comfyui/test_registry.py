"""What the registry and Manager read: the metadata, and the archive that is made of the tracked files."""

from __future__ import annotations

import asyncio
import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from comfyui_host.find import PACK
from comfyui_host.host import Host
from comfyui_host.object_info import info_of, our_nodes
from scripts.archive import pack_files, write_archive

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ARCHIVE_BYTES = 5_000_000
"""Without the small model."""
MODULE = "archived_relation_adapter"


@pytest.fixture
def written() -> dict[str, Any]:
    return tomllib.loads((PACK / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture
def read(host: Host) -> Any:
    """The metadata as ComfyUI reads it."""
    from comfy_config.config_parser import extract_node_configuration

    return extract_node_configuration(str(PACK))


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    write_archive(folder)
    return folder


def test_comfyui_reads_all_of_the_project(read: Any, written: dict[str, Any]) -> None:
    project, expected = read.project, written["project"]
    assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", project.name) and "comfyui" not in project.name
    assert re.fullmatch(r"\d+\.\d+\.\d+", project.version)
    assert (project.name, project.version, project.description) == tuple(
        expected[key] for key in ("name", "version", "description")
    )
    assert project.requires_python == expected["requires-python"] == ">=3.10"
    assert project.dependencies == []
    assert (PACK / project.license.file).is_file()
    urls = project.urls
    assert [urls.homepage, urls.repository, urls.documentation, urls.issues] == list(expected["urls"].values())
    assert all(address.startswith("https://") for address in expected["urls"].values())


def test_no_classifier_is_dropped(read: Any, written: dict[str, Any]) -> None:
    """One that the registry does not know would take all others of its kind with it."""
    kept = [f"Operating System :: {value}" for value in read.project.supported_os]
    kept += [f"Environment :: {value}" for value in read.project.supported_accelerators]
    assert kept == written["project"]["classifiers"]
    assert read.project.supported_os and read.project.supported_accelerators


def test_comfyui_reads_all_of_its_own_table(read: Any, written: dict[str, Any]) -> None:
    table, comfy = written["tool"]["comfy"], read.tool_comfy
    assert read.project.supported_comfyui_version == table["requires-comfyui"] == ">=0.17.0"
    assert (comfy.publisher_id, comfy.display_name, comfy.icon, comfy.includes) == tuple(
        table[key] for key in ("PublisherId", "DisplayName", "Icon", "includes")
    )
    assert all((comfy.publisher_id, comfy.display_name))
    assert comfy.web is None  # it would serve the help pages under another name than the page asks for
    known = {"PublisherId", "DisplayName", "Icon", "Banner", "includes", "requires-comfyui"}
    assert set(table) == known


def test_icon_and_banner_are_where_the_metadata_says(written: dict[str, Any]) -> None:
    table, repository = written["tool"]["comfy"], written["project"]["urls"]["Repository"]
    raw = repository.replace("https://github.com/", "https://raw.githubusercontent.com/") + "/main/"
    sizes = {}
    for key in ("Icon", "Banner"):
        assert table[key].startswith(raw)
        with Image.open(PACK / table[key].removeprefix(raw)) as picture:
            sizes[key] = picture.size
    width, height = sizes["Icon"]
    assert width == height <= 400
    width, height = sizes["Banner"]
    assert width * 9 == height * 21


def test_nothing_has_to_be_installed() -> None:
    lines = (PACK / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.strip() and not line.startswith("#")] == []
    assert not (PACK / "install.py").exists()


def test_the_archive_leaves_out_what_no_user_needs(archive: Path) -> None:
    left = {path.name for path in archive.iterdir()}
    assert {
        "tests",
        "benchmarks",
        "comfyui_host",
        "relation_tools",
        "scripts",
        "assets",
        ".github",
        "Makefile",
    } & left == set()
    files = [path for path in archive.rglob("*") if path.is_file() and "small_model" not in path.parts]
    assert sum(path.stat().st_size for path in files) < ARCHIVE_BYTES
    for folder in ("small_model", "nodes", "relation_core", "locales", "web", "workflows", "subgraphs", "pictures"):
        kept = {path.relative_to(archive).as_posix() for path in (archive / folder).rglob("*") if path.is_file()}
        assert kept == {name for name in pack_files() if name.startswith(f"{folder}/")}


def test_the_archive_works(host: Host, archive: Path) -> None:
    """Its nodes load in ComfyUI without any file that was left out."""
    spec = importlib.util.spec_from_file_location(
        MODULE, archive / "__init__.py", submodule_search_locations=[str(archive)]
    )
    assert spec is not None and spec.loader is not None
    pack = importlib.util.module_from_spec(spec)
    sys.modules[MODULE] = pack
    try:
        spec.loader.exec_module(pack)
        assert (archive / pack.WEB_DIRECTORY / "docs").is_dir()
        extension = asyncio.run(pack.comfy_entrypoint())
        nodes = asyncio.run(extension.get_node_list())
        assert [node.define_schema().node_id for node in nodes] == our_nodes(host)
        for node in nodes:
            assert node.GET_NODE_INFO_V1()["description"] == info_of(host, node.define_schema().node_id)["description"]
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == MODULE]:
            del sys.modules[name]
