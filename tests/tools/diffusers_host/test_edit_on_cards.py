"""A folder that several devices edit at once: a processor stands twice where a machine has two graphics cards."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import torch
from folder_edit import CASE, edit, golden_models
from folder_runs import contents
from PIL import Image, ImageOps

from relation_tools.diffusers_host import command
from relation_tools.diffusers_host.card_edit import graphics_cards

TWO = ["cpu", "cpu"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return golden_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    folder = tmp_path / "sources"
    folder.mkdir()
    picture = Image.open(CASE.folder / "source.png").convert("RGB")
    for number, change in enumerate((lambda one: one, ImageOps.mirror, ImageOps.flip, ImageOps.invert)):
        change(picture).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def two_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "graphics_cards", lambda _device: TWO)


def test_every_card_is_taken_unless_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert graphics_cards("auto") == ["cuda:0", "cuda:1", "cuda:2"]
    for named in ("cuda", "cuda:1", "cpu", "mps"):
        assert graphics_cards(named) == []


def test_two_devices_make_what_one_makes_and_go_on_where_they_stopped(
    models: dict[str, Path],
    sources: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert edit(models, sources, tmp_path / "alone") == 0
    monkeypatch.setattr(command, "graphics_cards", lambda _device: TWO)
    caplog.clear()
    (sources / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert edit(models, sources, tmp_path / "out") == 1
    assert "2 processes edit 5 pictures, on cpu, cpu." in caplog.text
    assert "4 of 5 pictures edited" in caplog.text and "broken.png" in caplog.text
    assert contents(tmp_path / "out") == contents(tmp_path / "alone")
    (sources / "broken.png").unlink()
    (tmp_path / "out" / "2.png").unlink()
    caplog.clear()
    assert edit(models, sources, tmp_path / "out") == 0
    assert "1 of 1 pictures edited, 3 were there already" in caplog.text
    assert contents(tmp_path / "out") == contents(tmp_path / "alone")


@pytest.mark.usefixtures("two_devices")
def test_what_stops_one_device_stops_the_command(
    models: dict[str, Path], sources: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = {**models, "vision": tmp_path / "nothing.safetensors"}
    assert edit(other, sources, tmp_path / "out") == 1
    assert "nothing.safetensors" in caplog.text and not (tmp_path / "out").exists()
    assert _workers() == []


@pytest.mark.slow
@pytest.mark.usefixtures("two_devices")
def test_a_killed_process_is_named_with_what_to_do(
    models: dict[str, Path], sources: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stop = threading.Event()

    def kill_one() -> None:
        while not stop.is_set():
            for one in _workers()[:1]:
                one.kill()
                return
            time.sleep(0.01)

    killer = threading.Thread(target=kill_one)
    killer.start()
    try:
        assert edit(models, sources, tmp_path / "out") == 1
    finally:
        stop.set()
        killer.join()
    assert "One of 2 worker processes died (SIGKILL)" in caplog.text
    assert "Run again with --device cuda:0" in caplog.text
    assert edit(models, sources, tmp_path / "out") == 0
    assert len(os.listdir(tmp_path / "out")) == 4


def _workers() -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for one in psutil.Process().children():
        with suppress(psutil.Error):  # it has just ended
            if "spawn_main" in " ".join(one.cmdline()):
                found.append(one)
    return found
