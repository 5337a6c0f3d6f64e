"""Pictures at addresses that fsspec reads and writes."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Generator
from pathlib import Path

import fsspec
import pytest
from folder_edit import edit, golden_models
from golden_case import GoldenCase

from relation_tools.address import Address, AddressError, read_place

SOURCE = GoldenCase.load("one_head").folder / "source.png"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return golden_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def store() -> Generator[fsspec.AbstractFileSystem]:
    """A store in memory, with two sources."""
    store = fsspec.filesystem("memory")
    for name in ("a.png", "b.png", ".hidden.png", "notes.txt"):
        store.pipe_file(f"/bucket/photos/{name}", SOURCE.read_bytes() if name.endswith("png") else b"x")
    yield store
    store.rm("/bucket", recursive=True)


def names_in(store: fsspec.AbstractFileSystem, folder: str) -> list[str]:
    return sorted(path.rpartition("/")[2] for path in store.ls(folder, detail=False))


def test_a_folder_in_a_store_is_edited_as_one_on_the_disk(
    models: dict[str, Path],
    store: fsspec.AbstractFileSystem,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    photos, drawn = "memory://bucket/photos", "memory://bucket/drawn"
    assert edit(models, photos, drawn) == 0
    assert edit(models, photos, tmp_path / "here") == 0
    assert names_in(store, "/bucket/drawn") == ["a.png", "b.png"]
    for name in ("a.png", "b.png"):
        assert store.cat_file(f"/bucket/drawn/{name}") == (tmp_path / "here" / name).read_bytes()
    created = store.created("/bucket/drawn/a.png")
    store.rm("/bucket/drawn/b.png")
    store.pipe_file("/bucket/photos/broken.png", b"no picture")
    caplog.clear()
    assert edit(models, photos, drawn) == 1
    assert "1 of 2 pictures edited, 1 were there already" in caplog.text
    assert "Cannot read the picture 'memory://bucket/photos/broken.png'" in caplog.text
    assert store.created("/bucket/drawn/a.png") == created
    caplog.clear()
    assert edit(models, photos, drawn, "--seed=5") == 1
    assert "2 results were made of another source, or with other settings" in caplog.text
    assert edit(models, photos, drawn, "--shard=2/3", "--overwrite", "--seed=5") == 0
    assert store.cat_file("/bucket/drawn/b.png") != (tmp_path / "here" / "b.png").read_bytes()
    assert store.created("/bucket/drawn/a.png") == created


def test_one_picture_with_its_sheet(
    models: dict[str, Path], store: fsspec.AbstractFileSystem, caplog: pytest.LogCaptureFixture
) -> None:
    out = "memory://bucket/new/result.png"
    assert edit(models, SOURCE, out, sheets=True) == 0
    assert names_in(store, "/bucket/new") == ["result.comparison.png", "result.png"]
    assert edit(models, SOURCE, out) == 1
    assert "memory://bucket/new/result.png already exists" in caplog.text


def test_a_store_that_is_no_object_store_shows_whole_files_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "a b" / "new"
    address = Address(f"local://{folder}/c.png")
    address.put(b"first")
    address.put(b"second")
    assert [(path.name, path.read_bytes()) for path in folder.iterdir()] == [("c.png", b"second")]

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fsspec.filesystem("local"), "mv", fails)
    with pytest.raises(AddressError, match=r"Cannot reach 'local://.*No space left on device"):
        address.put(b"third")
    assert [(path.name, path.read_bytes()) for path in folder.iterdir()] == [("c.png", b"second")]


@pytest.mark.parametrize(
    ("source", "out", "says"),
    [
        ("memory://bucket/none", "memory://bucket/drawn", "There are no pictures at memory://bucket/none"),
        ("memory://bucket/photos", "memory://bucket/drawn.png", "expected a folder for the results"),
        ("memory://bucket/photos", "memory://bucket/photos", "Results would be written among the sources"),
        ("nonsense://bucket/photos", "drawn", "Cannot reach 'nonsense://bucket/photos': Protocol not known"),
    ],
)
@pytest.mark.usefixtures("store")
def test_what_is_refused(
    models: dict[str, Path], caplog: pytest.LogCaptureFixture, source: str, out: str, says: str
) -> None:
    assert edit(models, source, out) == 1
    assert says in caplog.text


def test_what_is_a_path_and_what_an_address(tmp_path: Path) -> None:
    assert read_place("a/b.png") == Path("a/b.png")
    assert read_place((tmp_path / "a b#c").as_uri()) == tmp_path / "a b#c"
    assert read_place("s3://bucket/a.png") == Address("s3://bucket/a.png")
    assert Address("s3://bucket/photos/").within("a.png") == Address("s3://bucket/photos/a.png")


@pytest.fixture
def web() -> Generator[str]:
    """The address of a server that does not say how long its files are."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(b"x" * 30)

        do_HEAD = do_GET  # noqa: N815 - the library's name

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/photos/a.png?size=full"
        server.shutdown()


def test_a_picture_of_unknown_length(web: str, tmp_path: Path) -> None:
    address = Address(web)
    assert address.name == "a.png" and address.bring(tmp_path / "a.png", 30)
    assert (tmp_path / "a.png").read_bytes() == b"x" * 30
    with pytest.raises(AddressError, match="has at least 30 bytes; expected at most 29"):
        address.bring(tmp_path / "b.png", 29)
    assert not (tmp_path / "b.png").exists()


@pytest.mark.parametrize("name", ["a #1.png", "what?.png", "a%20b.png"])
def test_names_that_mean_something_on_the_web(
    models: dict[str, Path], store: fsspec.AbstractFileSystem, name: str
) -> None:
    store.pipe_file(f"/bucket/odd/{name}", SOURCE.read_bytes())
    assert edit(models, "memory://bucket/odd", "memory://bucket/drawn", sheets=True) == 0
    assert names_in(store, "/bucket/drawn") == sorted([name, f"{name.removesuffix('.png')}.comparison.png"])
