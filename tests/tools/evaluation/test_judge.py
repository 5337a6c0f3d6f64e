"""Judged scores, by a judge that is a real HTTP server on this machine."""

from __future__ import annotations

import base64
import json
import os
import signal
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from finished_run import FinishedRun, make_run
from judge_server import Judge, access, completion, scores_of, served_judge
from PIL import Image, ImageOps

from relation_core.progress import Silent
from relation_core.samples.samples import read_samples
from relation_tools.evaluation.errors import EvaluationError
from relation_tools.evaluation.judge import Judgement, parse_reply
from relation_tools.evaluation.metrics import PixelScorer
from relation_tools.evaluation.run_folder import RunFolder
from relation_tools.evaluation.scoring import finished_samples, score_samples
from tests.command_line import run
from tests.stopped_command import stopped


@pytest.fixture
def judge() -> Iterator[Judge]:
    with served_judge() as judge:
        yield judge


@pytest.fixture
def made(tmp_path: Path) -> FinishedRun:
    return make_run(tmp_path)


def ask(made: FinishedRun, judge: Judge, status: int = 0, **more: str) -> str:
    environment = {**access(judge), **more}
    return run("evaluate", "score", made.file, made.folder, "--judge", status=status, environment=environment)


def test_every_result_is_judged_once_by_what_is_shown(made: FinishedRun, judge: Judge) -> None:
    ask(made, judge)
    assert len(judge.requests) == 11
    assert {request["model"] for request in judge.requests} == {"critic"} and set(judge.keys) == {"Bearer secret-key"}
    for one in made.scores():
        record = json.loads((made.folder / "judgements" / f"{int(one['index']):06d}.json").read_text())
        url = record["request"]["messages"][0]["content"][1]["image_url"]["url"]
        shown = np.asarray(Image.open(BytesIO(base64.b64decode(url.partition(",")[2]))))
        assert (one["consistency"], one["accuracy"]) == scores_of(shown)
        assert record["scores"] == {"consistency": one["consistency"], "accuracy": one["accuracy"]}
        assert str(one["consistency"]) in record["reply"]["choices"][0]["message"]["content"]
        sample = made.samples()[int(one["index"])]
        places = [
            (made.file.parent / sample[key], 16, 44 + 428 * row) for row, key in enumerate(("cond1", "cond2", "source"))
        ]
        for path, left, top in [*places, (made.result(int(one["index"])), 416, 900)]:
            small = ImageOps.contain(Image.open(path), (384, 384))
            x, y = left + (384 - small.width) // 2, top + (384 - small.height) // 2
            part = shown[y : y + small.height, x : x + small.width].astype(int)
            assert np.abs(part - np.asarray(small)).mean() < 4, path
    ask(made, judge)
    assert len(judge.requests) == 11


def test_another_model_judges_anew(made: FinishedRun, judge: Judge) -> None:
    ask(made, judge)
    before = made.scores()
    judge.answers = [(200, '{"B1": {"consistency": 5, "accuracy": 1}}')] * 11
    said = ask(made, judge, RELATION_JUDGE_MODEL="another")
    assert [request["model"] for request in judge.requests] == ["critic"] * 11 + ["another"] * 11
    assert {(one["consistency"], one["accuracy"]) for one in made.scores()} == {(5, 1)} and made.scores() != before
    assert "different models" not in said
    ask(made, judge, RELATION_JUDGE_MODEL="another")
    assert len(judge.requests) == 22


def test_what_another_model_judged_does_not_count(made: FinishedRun, judge: Judge) -> None:
    ask(made, judge)
    folder = RunFolder(made.folder)
    samples = finished_samples(read_samples(made.file), folder)
    for model, count in (("critic", 11), ("", 11), ("another", 0)):
        scored = score_samples(samples, made.file, folder, [PixelScorer()], Silent(), {}, model)
        assert sum(None not in (one.value("consistency"), one.value("accuracy")) for one in scored) == count


def test_scores_of_several_models_are_told(made: FinishedRun, judge: Judge) -> None:
    ask(made, judge)
    (made.folder / "judgements" / "000003.json").unlink()
    record = made.folder / "judgements" / "000005.json"
    record.write_text(record.read_text().replace('"critic"', '"another"'))
    said = run("evaluate", "score", made.file, made.folder)
    assert "different models (another: 1, critic: 9)" in said


@pytest.mark.skipif(os.name == "nt", reason="stops a process by a signal of POSIX")
def test_two_processes_do_not_ask_twice(made: FinishedRun, judge: Judge, tmp_path: Path) -> None:
    with stopped(tmp_path, "evaluate", "score", made.file, made.folder, "--judge", **access(judge)) as first:
        assert "Another process is evaluating in '" in ask(made, judge, status=1)
        assert judge.requests == []
        first.send_signal(signal.SIGCONT)
        told, _ = first.communicate(timeout=60)
        assert first.returncode == 0, told
    assert len(judge.requests) == len(made.scores()) == 11


def test_the_key_is_kept_nowhere(made: FinishedRun, judge: Judge) -> None:
    said = ask(made, judge)
    assert "secret-key" not in said
    assert not [path for path in made.folder.rglob("*") if path.is_file() and b"secret-key" in path.read_bytes()]


def test_no_judge_is_asked_by_default(made: FinishedRun, judge: Judge) -> None:
    environment = {"RELATION_JUDGE_URL": judge.address, "RELATION_JUDGE_MODEL": "critic"}
    run("evaluate", "score", made.file, made.folder, environment=environment)
    assert judge.requests == []


def test_without_an_endpoint_there_is_an_error(made: FinishedRun, judge: Judge) -> None:
    said = ask(made, judge, status=1, RELATION_JUDGE_URL="")
    assert "RELATION_JUDGE_URL" in said and judge.requests == []


def test_a_busy_judge_is_asked_again(made: FinishedRun, judge: Judge) -> None:
    judge.answers = [(429, "slow down"), (503, "away"), (500, "oops")]
    ask(made, judge)
    assert len(judge.requests) == 11 + 3
    assert all(one["consistency"] is not None for one in made.scores())


def test_a_judge_that_refuses_stops_the_run(made: FinishedRun, judge: Judge) -> None:
    judge.answers = [(401, "who are you?")] * 4
    said = ask(made, judge, status=1)
    assert "401: who are you?" in said and "secret-key" not in said


def test_replies_without_scores_are_kept_told_and_asked_for_again(made: FinishedRun, judge: Judge) -> None:
    judge.answers = [(200, "I cannot judge this.")]
    said = ask(made, judge, status=1)
    assert said.count("has no judgement") == 1
    (failed,) = [one for one in made.scores() if one["consistency"] is None]
    record = json.loads((made.folder / "judgements" / f"{int(failed['index']):06d}.json").read_text())
    assert record["reply"]["choices"][0]["message"]["content"] == "I cannot judge this."
    assert "holds no scores" in record["error"] and "scores" not in record
    ask(made, judge)
    assert len(judge.requests) == 12
    assert all(one["consistency"] is not None for one in made.scores())


@pytest.mark.parametrize(
    "text",
    [
        '{"B1": {"consistency": 4, "accuracy": 2.5}}',
        'Here you are:\n```json\n{"B1": {"consistency": "4", "accuracy": 2.5}}\n```\nGladly.',
        '{\n  "B1": {"accuracy": 2.5, "consistency": 4.0, "reason": "{}"}\n}',
    ],
)
def test_replies_that_hold_scores(text: str) -> None:
    assert parse_reply(json.loads(completion(text))) == Judgement(4.0, 2.5)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4 and 2.5",
        "{}",
        '{"B1": 4}',
        '{"B1": {"consistency": 4}}',
        '{"B1": {"consistency": 4, "accuracy": null}}',
        '{"B1": {"consistency": 4, "accuracy": "good"}}',
        '{"B1": {"consistency": 0, "accuracy": 3}}',
        '{"B1": {"consistency": 3, "accuracy": 5.5}}',
        '{"B1": {"consistency": NaN, "accuracy": 3}}',
        '{"B1": {"consistency": 3, "accuracy": 3}',
    ],
)
def test_replies_that_hold_none(text: str) -> None:
    with pytest.raises(EvaluationError):
        parse_reply(json.loads(completion(text)))


@pytest.mark.parametrize("reply", [{}, {"choices": []}, {"choices": [{"message": {"content": None}}]}, {"error": "x"}])
def test_replies_of_another_form(reply: dict[str, Any]) -> None:
    with pytest.raises(EvaluationError, match="holds no scores"):
        parse_reply(reply)
