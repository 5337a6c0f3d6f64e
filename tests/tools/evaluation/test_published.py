"""The report beside the figures of other papers, and its rows of seen and unseen tasks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from finished_run import FinishedRun, make_run
from report_page import Page

from relation_tools.evaluation.published_tables import COLUMNS, TABLES
from tests.command_line import run

PAPERS = {
    "RelationAdapter, arXiv 2506.02528v1, table 1": """
        EditTransfer 0.043 0.827 4.234 3.508
        Ours ∩ ET 0.020 0.905 4.437 4.429
        VisualCloze 0.049 0.802 3.594 3.411
        Ours ∩ VC 0.025 0.894 4.084 3.918""",
    "RelationAdapter, arXiv 2506.02528v1, table 2": """
        w/o RA -S 0.055 0.787 3.909 3.597
        Ours -S 0.044 0.852 4.079 4.106
        w/o RA -U 0.061 0.778 3.840 3.566
        Ours -U 0.053 0.812 4.187 4.173""",
    "Edit Transfer, arXiv 2503.13327v1, table 1": """
        Ours 0.810 22.58%""",
    "VisualCloze, arXiv 2504.07960v4, table 2": """
        Oursfill 0 80.41% 89.63% 35.16%
        Oursfill 1 79.33% 89.22% 35.02%
        Oursfill 2 80.32% 89.36% 35.01%""",
    "VisualCloze, arXiv 2504.07960v4, table 3": """
        Oursfill 0.29 0.55""",
    "LoRWeB, arXiv 2602.15727v2, table S3": """
        LoRWeB (full, r = 4, N = 32) 7.87 5.94 0.31 0.21
        LoRWeB on (r = 4, N = 64) 7.80 5.48 0.27 0.19
        LoRA r = 128 7.99 5.70 0.27 0.20
        LoRA r = 256 7.88 5.48 0.26 0.18
        VisualCloze 5.24 4.93 0.53 0.21
        RelationAdapter 7.01 5.93 0.43 0.22
        Edit-Transfer 7.38 4.79 0.31 0.04""",
    "LoRWeB, arXiv 2602.15727v2, table S2": """
        Ours 7.87 5.94 0.31 0.21
        DIA 3.56 3.44 0.59 0.12
        DIA-Kontext 4.78 3.56 0.63 0.17
        PairEdit s = 0.6 6.68 4.55 0.24 0.11
        PairEdit s = 0.8 4.44 3.60 0.44 0.16""",
}
"""The rows as they stand in the papers; a sign of percent is added where a paper gives a cosine in percent."""


def number(text: str) -> float:
    return float(text[:-1]) / 100 if text.endswith("%") else float(text)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.source)
def test_tables_are_copied_rightly(table) -> None:  # noqa: ANN001
    lines = PAPERS[table.source].strip().splitlines()
    for (_, figures), line in zip(table.rows, lines, strict=True):
        words = line.split()[-len(figures) :]
        assert [round(figure, 4) for figure in figures.values()] == [round(number(word), 4) for word in words]
        assert figures.keys() <= COLUMNS.keys()


def test_every_table_is_there() -> None:
    assert [table.source for table in TABLES] == list(PAPERS)
    assert all(any(name in figures for table in TABLES for _, figures in table.rows) for name in COLUMNS)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """A run of which two tasks are unseen."""
    made = make_run(tmp_path_factory.mktemp("published"))
    table = made.file.parent / "tasks.json"
    tasks = json.loads(table.read_text())
    table.write_text(json.dumps({name: {**task, "unseen": name in ("Rain", "Lego")} for name, task in tasks.items()}))
    run("evaluate", "score", made.file, made.folder)
    return made


def report(made: FinishedRun, page: Path) -> Page:
    run("evaluate", "report", made.file, made.folder, page)
    return Page(page.read_text(encoding="utf-8"))


def test_seen_and_unseen_tasks_have_rows(made: FinishedRun, tmp_path: Path) -> None:
    assert [one["unseen"] for one in made.scores()] == [False] * 3 + [True] * 6 + [False] * 2
    page = report(made, tmp_path / "page.html")
    mse = np.array([one["mse"] for one in made.scores()])
    means = {"Depth": mse[:3].mean(), "Rain": mse[3:6].mean(), "Lego": mse[6:9].mean(), "Sketch": mse[9:].mean()}
    names = [row[0] for row in page.rows]
    rows = {row[0]: row[1:] for row in page.rows}
    for name, samples, own, paper in (
        ("Seen tasks (n = 2)", 5, ("Depth", "Sketch"), "paper, table 2: seen tasks"),
        ("Unseen tasks (n = 2)", 6, ("Rain", "Lego"), "paper, table 2: unseen tasks"),
    ):
        values = np.array([means[task] for task in own])
        assert rows[name][:2] == [str(samples), f"{values.mean():.3f} ± {values.std(ddof=1):.3f}"]
        assert names.index(name) + 1 == names.index(paper)
        kind = name.split(" (")[0].lower()
        assert rows[f"This run, {kind}"][0] == f"{values.mean():.3f}"
    assert rows["All 4 tasks"][0] == "11"


def test_without_unseen_tasks_there_are_no_such_rows(tmp_path: Path) -> None:
    made = make_run(tmp_path)
    run("evaluate", "score", made.file, made.folder)
    names = [row[0] for row in report(made, tmp_path / "page.html").rows]
    assert not [name for name in names if name.startswith(("Seen", "Unseen", "This run, seen", "This run, unseen"))]
    assert "This run, all tasks" in names


def test_this_run_is_beside_the_published_rows(made: FinishedRun, tmp_path: Path) -> None:
    lines = [{**one, "lpips_source": 0.25, "clip_direction": 0.5, "dino": 0.75} for one in made.scores()]
    changed = FinishedRun(made.file, tmp_path)
    (tmp_path / "run.json").write_text((made.folder / "run.json").read_text())
    (tmp_path / "scores.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    page = report(changed, tmp_path / "page.html")
    (head,) = [row for row in page.rows if row[0] == "Method"]
    (ours,) = [row for row in page.rows if row[0] == "This run, all tasks"]
    shown = dict(zip(head[1:], ours[1:], strict=True))
    assert shown["LPIPS to source ↓"] == "0.250" and shown["CLIP direction ↑"] == "0.500" and shown["DINO ↑"] == "0.750"
    assert shown["CLIP-I ↑"] == shown["Preservation, 1 to 10 ↑"] == "\u2013"
    sources = [row[0] for row in page.rows if len(row) == 1]
    assert [text.partition(" table ")[0] for text in sources] == [name.partition(" table ")[0] for name in PAPERS]
    distant = [row for row in page.rows if row[0] == "RelationAdapter"]
    assert [dict(zip(head[1:], row[1:], strict=True))["LPIPS to source ↓"] for row in distant] == ["0.430"]


def test_the_models_are_named_and_several_are_pointed_out(made: FinishedRun, tmp_path: Path) -> None:
    def makers(index: int) -> dict[str, dict[str, str]]:
        return {"clip": {"model": "large" if index < 9 else "<base>", "fingerprint": f"f{index < 9}"}}

    lines = [{**one, "clip_i": 0.5, "made_by": makers(int(one["index"]))} for one in made.scores()]
    changed = FinishedRun(made.file, tmp_path)
    (tmp_path / "run.json").write_text((made.folder / "run.json").read_text())
    (tmp_path / "scores.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    report(changed, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "CLIP: large (fTrue), 9 samples; &lt;base&gt; (fFalse), 2 samples." in text
    assert text.count("Scores of several models cannot be compared") == 1
