"""The report: what is on the page, and that nothing is outside it."""

from __future__ import annotations

import base64
import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from finished_run import FinishedRun, make_run
from PIL import Image
from report_page import Page

from tests.command_line import run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    made = make_run(tmp_path_factory.mktemp("report"))
    run("evaluate", "score", made.file, made.folder)
    return made


@pytest.fixture(scope="module")
def page(made: FinishedRun) -> Page:
    path = made.folder / "report.html"
    run("evaluate", "report", made.file, made.folder, path, "--shown", 3, "--title", "A <title>")
    return Page(path.read_text(encoding="utf-8"))


def test_nothing_is_outside_the_page(page: Page) -> None:
    assert page.addresses and all(address.startswith("data:image/jpeg;base64,") for address in page.addresses)
    assert not page.tags & {"script", "link", "iframe", "object"}


def test_the_table(page: Page, made: FinishedRun) -> None:
    scores = made.scores()
    rows = {row[0]: row[1:] for row in page.rows}
    assert rows["Task"] == ["Samples", "MSE \u2193", "PSNR, dB \u2191", "SSIM \u2191"]
    for number, (name, indices) in enumerate({"Depth": range(3), "Rain": range(3, 6), "Lego": range(6, 9)}.items()):
        own = np.array([one["mse"] for one in scores if one["index"] in indices])
        assert rows[name][:2] == ["3", f"{own.mean():.3f} ± {own.std(ddof=1):.3f}"], number
    means = np.array([np.mean([one["mse"] for one in scores[start : start + 3]]) for start in (0, 3, 6, 9)])
    assert rows["All 4 tasks"][:2] == ["11", f"{means.mean():.3f} ± {means.std(ddof=1):.3f}"]
    low = means[:2]
    assert rows["Low-Level (n = 2)"][:2] == ["6", f"{low.mean():.3f} ± {low.std(ddof=1):.3f}"]
    assert rows["Customized Generation (n = 1)"][:2] == ["3", f"{means[2]:.3f}"]
    assert rows["(no category) (n = 1)"][0] == "2"
    assert rows["paper, table 3: Low-Level (n = 32)"] == ["", "0.028 ± 0.038", "", ""]
    assert rows["paper, table 2: seen tasks"] == ["", "0.044", "", ""]
    names = [row[0] for row in page.rows]
    assert names.index("Low-Level (n = 2)") + 1 == names.index("paper, table 3: Low-Level (n = 32)")
    assert not [name for name in names if "Style Transfer" in name]


def test_the_best_and_the_worst_samples(page: Page, made: FinishedRun) -> None:
    order = [int(one["index"]) for one in sorted(made.scores(), key=lambda one: (one["mse"], one["index"]))]
    expected = [*order[:3], *order[:-4:-1]]
    assert len(page.figures) == 6 and page.headings[2:4] == ["Best samples by MSE", "Worst samples by MSE"]
    for figure, caption, index in zip(page.figures, page.captions, expected, strict=True):
        assert f"Edit <i>{index}</i> & naïve #{index} ·" in caption
        sample = made.samples()[index]
        paths = [made.file.parent / sample[key] for key in ("cond1", "cond2", "source")]
        for address, path in zip(figure, [*paths, made.result(index), made.target(index)], strict=True):
            shown = np.asarray(Image.open(BytesIO(base64.b64decode(address.partition(",")[2]))), dtype=int)
            assert np.abs(shown - np.asarray(Image.open(path))).mean() < 5, path


def test_failed_samples_are_listed_and_texts_are_escaped(page: Page, made: FinishedRun) -> None:
    assert page.items == ["#11: KSampler: <out> of memory"]
    text = (made.folder / "report.html").read_text(encoding="utf-8")
    assert "<title>A &lt;title&gt;</title>" in text and "Sketch &lt;b&gt;&amp;" in text and "<i>" not in text


def test_judged_scores_have_columns_of_their_own(made: FinishedRun, tmp_path: Path) -> None:
    lines = [{**one, "consistency": 4.0, "accuracy": 3.5, "clip_i": 0.9} for one in made.scores()]
    old = (made.folder / "scores.jsonl").read_bytes()
    (made.folder / "scores.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    run("evaluate", "report", made.file, made.folder, tmp_path / "page.html", "--rank-by", "accuracy")
    (made.folder / "scores.jsonl").write_bytes(old)
    found = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert found.rows[0] == [
        "Task",
        "Samples",
        "MSE \u2193",
        "CLIP-I \u2191",
        "Consistency \u2191",
        "Accuracy \u2191",
        "PSNR, dB \u2191",
        "SSIM \u2191",
    ]
    rows = {row[0]: row[1:] for row in found.rows}
    assert rows["paper, table 3: Low-Level (n = 32)"][1:5] == [
        *("0.028 ± 0.038", "0.885 ± 0.067", "3.943 ± 0.383", "3.822 ± 0.406")
    ]
    assert rows["paper, table 2: unseen tasks"][1:5] == ["0.053", "0.812", "4.187", "4.173"]


def test_a_report_before_any_score_is_an_error(tmp_path: Path) -> None:
    made = make_run(tmp_path)
    assert "no scores yet" in run("evaluate", "report", made.file, made.folder, tmp_path / "page.html", status=1)
