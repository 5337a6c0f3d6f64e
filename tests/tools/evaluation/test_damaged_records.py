"""Records that a power cut or a stranger damaged: found, named, made anew; never a traceback, never a hang."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from finished_run import FinishedRun, make_run
from hasty_clients import SECRET, evaluate, judge
from hostile_server import FAULTS, hostile

from relation_core.errors import RelationAdapterError
from relation_tools.evaluation.journal import read_journal
from relation_tools.evaluation.run_folder import RunFolder
from relation_tools.evaluation.template import SHIPPED, load_template
from tests.command_line import run

DAMAGES = {
    "empty": b"",
    "cut": None,
    "zeros": bytes(4096),
    "null": b"null",
    "list": b"[]",
    "text": b'"x"',
    "number": b"5",
    "other": b'{"scores": 5, "samples": []}',
    "deep": b"[" * 300_000,
    "digits": b'{"seed": ' + b"9" * 5000 + b"}",
    "surrogates": b'{"\\ud800": "\\udfff"}',
    "latin": b'{"a": "\xe9"}',
}


def damage(path: Path, kind: str) -> None:
    data = path.read_bytes()
    harm = DAMAGES[kind]
    path.write_bytes(data[: len(data) // 2] if harm is None else harm)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    return make_run(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def made(whole: FinishedRun, tmp_path: Path) -> FinishedRun:
    shutil.copytree(whole.folder, tmp_path / "run")
    return FinishedRun(whole.file, tmp_path / "run")


@pytest.mark.parametrize("kind", DAMAGES)
def test_what_a_run_was_made_with(made: FinishedRun, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    record = made.folder / "run.json"
    damage(record, kind)
    with pytest.raises(RelationAdapterError, match=r"run\.json|were made with another|are of other samples"):
        RunFolder(made.folder).check_samples(made.file)
    with pytest.raises(RelationAdapterError, match=r"were made with another|is damaged"):  # results depend on it
        RunFolder(made.folder).open(made.file, SHIPPED, 1000)
    shutil.rmtree(made.folder / "results")
    (made.folder / "journal.jsonl").write_bytes(b"")
    RunFolder(made.folder).open(made.file, SHIPPED, 1000)
    assert json.loads(record.read_text())["seed"] == 1000
    assert kind in {"other", "surrogates"} or "damaged" in caplog.text
    (made.folder / "journal.jsonl").write_text("{}\n")
    RunFolder(made.folder).open(made.file, SHIPPED, 1000)
    with pytest.raises(RelationAdapterError, match="another seed"):
        RunFolder(made.folder).open(made.file, SHIPPED, 1001)


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_journal(made: FinishedRun, kind: str) -> None:
    with hostile(0, nothing=FAULTS["nothing"]) as server:
        folder = made.folder.with_name("new")
        evaluate(made, folder, server.address)
        damage(folder / "journal.jsonl", kind)
        read_journal(folder / "journal.jsonl")
        assert evaluate(made, folder, server.address).done == 2
        assert evaluate(made, folder, server.address, 3).done == 3
        assert len(server.prompts) == 3
    assert read_journal(folder / "journal.jsonl")[-1].event == "done"


@pytest.mark.parametrize(
    "changed",
    [
        {"sample": "0"},
        {"sample": True},
        {"sample": 0.0},
        {"sample": None},
        {"event": "lost"},
        {"event": None},
        {"server": 5},
        {"prompt": ["p"]},
        {"message": None},
        {"made_of": {}},
        {"another": "key"},
    ],
)
def test_a_line_of_a_journal_that_is_of_another_form(
    tmp_path: Path, changed: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    path, good = tmp_path / "journal.jsonl", {"event": "done", "sample": 0}
    path.write_text("".join(json.dumps(line) + "\n" for line in (good, {**good, **changed}, good)))
    assert [(entry.event, entry.sample) for entry in read_journal(path)] == [("done", 0)] * 2
    assert "1 lines of" in caplog.text


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_judgement(made: FinishedRun, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    with hostile(0, nothing=FAULTS["nothing"]) as server:
        assert judge(made, made.folder, server.address) == {}
        asked = len(server.asked)
        damage(made.folder / "judgements" / "000001.json", kind)
        run("evaluate", "score", made.file, made.folder)
        if kind != "surrogates":  # which is a record without scores
            assert "000001.json' is damaged" in caplog.text
        assert judge(made, made.folder, server.address) == {}
        assert len(server.asked) == asked + 1
        assert judge(made, made.folder, server.address) == {} and len(server.asked) == asked + 1
    assert SECRET not in caplog.text


@pytest.mark.parametrize("kind", DAMAGES)
def test_scores(made: FinishedRun, kind: str, tmp_path: Path) -> None:
    run("evaluate", "score", made.file, made.folder)
    damage(made.folder / "scores.jsonl", kind)
    said = run("evaluate", "report", made.file, made.folder, tmp_path / "page.html", status=1)
    assert "scores.jsonl" in said and "Run `evaluate score` to rebuild it" in said
    run("evaluate", "score", made.file, made.folder)
    run("evaluate", "report", made.file, made.folder, tmp_path / "page.html")


@pytest.mark.parametrize("place", ["result", "target"])
def test_a_broken_picture_ends_neither_scores_nor_report(made: FinishedRun, tmp_path: Path, place: str) -> None:
    data = tmp_path / "data"
    shutil.copytree(made.file.parent, data)
    own = FinishedRun(data / made.file.name, made.folder)
    (own.result(2) if place == "result" else own.target(2)).write_bytes(b"no picture")
    said = run("evaluate", "score", own.file, own.folder, status=1)
    assert "10 of 11 samples scored" in said and "Sample 2 was not scored: Cannot read the picture" in said
    assert [one["index"] for one in own.scores()] == [0, 1, *range(3, 11)]
    own.target(0).unlink()
    said = run("evaluate", "report", own.file, own.folder, tmp_path / "page.html", "--shown", "11")
    assert (
        "Sample 0 is not shown: Cannot read the picture" in said
        and "data:image" in (tmp_path / "page.html").read_text()
    )


@pytest.mark.parametrize("kind", [*DAMAGES, "pipe", "device", "folder"])
@pytest.mark.parametrize("name", ["workflow.json", "tasks.json", "test.jsonl"])
def test_what_strangers_bring(made: FinishedRun, tmp_path: Path, name: str, kind: str) -> None:
    path = tmp_path / name
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        shutil.copy({"workflow.json": SHIPPED, "test.jsonl": made.file}.get(name, made.file.parent / name), path)
        damage(path, kind)
    if name == "workflow.json":
        with pytest.raises(RelationAdapterError, match=r"workflow"):
            load_template(path)
    elif name == "test.jsonl":
        said = run("evaluate", "score", path, made.folder, status=1)
        assert "test.jsonl" in said
    else:
        shutil.copytree(made.file.parent / "pictures", tmp_path / "pictures")
        shutil.copy(made.file, tmp_path / "test.jsonl")
        said = run("dataset", "stats", tmp_path / "test.jsonl", status=1)
        assert "tasks.json" in said
