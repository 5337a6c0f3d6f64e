"""Scores that Ray's workers give, some of whom die: those of one process, to the bit."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from finished_run import FinishedRun, make_run
from small_models import save_clip, save_dino, save_trunk

from relation_tools.commands import spread_scores
from relation_tools.spread.spreading import LOSSES
from tests.command_line import run
from tests.deadly_work import makes_a_scorer

RAY = ("--ray", "--workers=2", "--batch-size=2")


@pytest.mark.slow
def test_scores_are_those_of_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    made = make_run(tmp_path / "made")
    made.result(7).write_bytes(b"no picture")
    models = ["--clip", save_clip(tmp_path / "clip"), "--dino", save_dino(tmp_path / "dino"), "--preservation"]
    models += ["--lpips", save_trunk(tmp_path / "alexnet.pth")]
    score = ("evaluate", "score", made.file, made.folder)
    assert "10 of 11 samples scored" in run(*score, *models, "--batch-size=2", status=1)
    alone = (made.folder / "scores.jsonl").read_bytes()
    assert {"mse", "clip_i", "dino", "lpips", "kept_lpips"} <= made.scores()[0].keys()

    (made.folder / "scores.jsonl").unlink()
    run(*score, "--batch-size=2", status=1)  # what is there is kept: a mark that is put there stays
    marked = [{**one, "mse": 0.125} if one["index"] in (2, 9) else one for one in made.scores()]
    (made.folder / "scores.jsonl").write_text("".join(json.dumps(one) + "\n" for one in marked))
    (tmp_path / "marks").mkdir()
    monkeypatch.setattr(spread_scores, "made_ready", partial(makes_a_scorer, tmp_path / "marks", 5, 1))
    said = run(*score, *models, *RAY, status=1)
    assert "10 of 11 samples scored" in said and "Sample 7 was not scored: Cannot read the picture" in said
    assert [path.name for path in (tmp_path / "marks").iterdir()] == ["0"]
    expected = [json.loads(line) for line in alone.splitlines()]
    expected = [{**one, "mse": 0.125} if one["index"] in (2, 9) else one for one in expected]
    assert made.scores() == expected


@pytest.mark.slow
def test_samples_over_which_workers_die_are_named_and_keep_what_they_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_run(tmp_path / "made")
    score = ("evaluate", "score", made.file, made.folder)
    run(*score, *RAY)
    before = (made.folder / "scores.jsonl").read_bytes()
    (tmp_path / "marks").mkdir()
    monkeypatch.setattr(spread_scores, "made_ready", partial(makes_a_scorer, tmp_path / "marks", 5, LOSSES))
    said = run(*score, *RAY, status=1)
    for index in (4, 5):
        assert (
            f"Sample {index} was not scored: {LOSSES} workers died over it or a sample that is scored with it. "
            "They may need more memory than their machines have: lower --workers" in said
        )
    assert "Sample 6 " not in said
    assert (made.folder / "scores.jsonl").read_bytes() == before


@pytest.mark.parametrize("asked", ["--judge", "--estimate"])
def test_workers_do_not_meet_a_judge(tmp_path: Path, asked: str) -> None:
    made: FinishedRun = make_run(tmp_path)
    said = run("evaluate", "score", made.file, made.folder, "--ray", asked, status=1)
    assert f"{asked} is given with --ray; expected one of them" in said
    said = run("evaluate", "score", made.file, made.folder, "--workers=2", asked, status=1)
    assert "--workers is given without --ray" in said
    assert not (made.folder / "scores.jsonl").exists()
