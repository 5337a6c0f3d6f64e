"""What a judge costs: estimated before anything is sent, counted afterwards, and never more than the budget."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from finished_run import FinishedRun, make_run
from judge_server import Judge, access, served_judge
from PIL import Image

from relation_tools.evaluation.errors import EvaluationError
from relation_tools.evaluation.judge_cost import Meter, Prices, Tokens, counted, estimate, picture_tokens
from tests.command_line import run


@pytest.fixture
def judge() -> Iterator[Judge]:
    with served_judge() as judge:
        yield judge


@pytest.fixture
def made(tmp_path: Path) -> FinishedRun:
    return make_run(tmp_path)


def score(made: FinishedRun, judge: Judge, *options: object, status: int = 0) -> str:
    return run("evaluate", "score", made.file, made.folder, *options, status=status, environment=access(judge))


@pytest.mark.parametrize(
    ("size", "tokens"),
    [((1024, 1024), 765), ((2048, 4096), 1105), ((512, 512), 255), ((513, 512), 425), ((768, 768), 765), ((1, 9), 255)],
)
def test_pictures_count_as_openai_documents_it(size: tuple[int, int], tokens: int) -> None:
    """The first two are the examples of OpenAI's own guide."""
    assert picture_tokens(*size) == tokens


def test_an_estimate_sends_nothing(made: FinishedRun, judge: Judge) -> None:
    said = score(made, judge, "--estimate", "--price", 2.5, "--reply-price", 10)
    assert judge.requests == [] and not (made.folder / "judgements").exists()
    assert not (made.folder / "scores.jsonl").exists()
    one = estimate(Prices())
    assert "11 of 11 samples are to be judged by critic: 11 requests" in said
    assert f"{11 * one.asked:,} tokens, and replies of {11 * one.replied:,}, which cost" in said
    money = float(re.findall(r"which cost (\d+\.\d+)", said)[0])
    assert money == pytest.approx(11 * (one.asked * 2.5 + one.replied * 10) / 1e6, abs=1e-4)
    assert "add --price to see what they cost" in score(made, judge, "--estimate")


def test_what_was_judged_is_not_estimated(made: FinishedRun, judge: Judge) -> None:
    assert "11 requests" in score(made, judge, "--judge")
    assert "0 of 11 samples are to be judged by critic" in score(made, judge, "--estimate")
    (made.folder / "judgements" / "000003.json").unlink()
    assert "1 of 11 samples are to be judged by critic: 1 requests" in score(made, judge, "--estimate")


def test_the_picture_is_of_the_size_that_is_sent(made: FinishedRun, judge: Judge) -> None:
    said = score(made, judge, "--judge")
    ((width, height),) = re.findall(r"picture of (\d+) x (\d+) pixels", said)
    for request in judge.requests:
        url = request["messages"][0]["content"][1]["image_url"]["url"]
        assert Image.open(BytesIO(base64.b64decode(url.partition(",")[2]))).size == (int(width), int(height))


def test_what_it_cost_is_what_the_judge_counted(made: FinishedRun, judge: Judge) -> None:
    judge.usage = (1000, 30)
    said = score(made, judge, "--judge", "--price", 10)
    assert "The judge was sent 11,000 tokens, and replies of 330, which cost 0.1133." in said


@pytest.mark.parametrize(("budget", "asked"), [(0.0105, 1), (0.0206, 2), (0.05, 4), (0.1133, 11), (9, 11)])
def test_a_budget_is_not_exceeded(made: FinishedRun, judge: Judge, budget: float, asked: int) -> None:
    """A request costs 0.0103, more than estimated."""
    judge.usage = (1000, 30)
    said = score(made, judge, "--judge", "--price", 10, "--budget", budget, "--picture-tokens", 100,
                 status=int(asked < 11))  # fmt: skip
    assert len(judge.requests) == asked
    assert sum(one["consistency"] is not None for one in made.scores()) == asked
    assert (f"{11 - asked} samples were not judged, since the budget of {budget:g}" in said) == (asked < 11)
    if asked < 11:
        score(made, judge, "--judge", "--price", 10, "--budget", 1)
        assert len(judge.requests) == 11


def test_a_sample_that_cannot_be_sent_costs_nothing(made: FinishedRun, judge: Judge) -> None:
    judge.usage = (1000, 30)
    for index in (0, 1, 2):
        made.result(index).write_bytes(b"no picture")
    costs = ("--price", 10, "--budget", 8 * 0.0103, "--picture-tokens", 2000)  # which is dearer than the judge counts
    said = score(made, judge, "--judge", *costs, status=1)
    assert len(judge.requests) == 8 and "The judge was sent 8,000 tokens, and replies of 240, which cost 0.0824" in said
    assert said.count("has no judgement: Cannot read the picture") == 3 and "were not judged, since" not in said


def test_a_budget_that_is_too_small_for_one_request(made: FinishedRun, judge: Judge) -> None:
    said = score(made, judge, "--judge", "--price", 10, "--budget", 0.001, status=1)
    assert judge.requests == [] and "11 samples were not judged" in said


def test_requests_that_failed_count_as_estimated() -> None:
    async def admitted(prices: Prices) -> int:
        meter, count = Meter(prices), 0
        while await meter.admit(count) and count < 99:
            await meter.settle({})
            count += 1
        return count

    one = Prices(price=1).cost(estimate(Prices()))
    assert asyncio.run(admitted(Prices(price=1, budget=3.5 * one))) == 3


def test_a_request_waits_for_those_that_may_leave_it_room() -> None:
    """The second and third cost less than the first did, so that there is room for the fourth."""

    async def admitted() -> tuple[bool, bool, bool]:
        meter = Meter(Prices(price=1e6, budget=35))
        dear, cheap = ({"usage": {"prompt_tokens": count, "completion_tokens": 0}} for count in (10, 1))
        meter._dearest = Tokens(10, 0)
        assert await meter.admit(0)
        await meter.settle(dear)
        assert await meter.admit(1) and await meter.admit(2)
        fourth = asyncio.create_task(meter.admit(3))
        await asyncio.sleep(0.01)
        waited = not fourth.done()
        await meter.settle(cheap)
        await meter.settle(cheap)
        return waited, await fourth, meter.refused == []

    assert asyncio.run(admitted()) == (True, True, True)


def test_a_budget_needs_a_price_and_a_judge(made: FinishedRun, judge: Judge) -> None:
    assert "needs the price of a million tokens: add --price" in score(made, judge, "--judge", "--budget", 1, status=1)
    assert "Add --judge, or --estimate" in score(made, judge, "--price", 1, status=1)
    assert judge.requests == []
    with pytest.raises(EvaluationError, match="Got budget = nan"):
        Prices(price=1, budget=float("nan"))


@pytest.mark.parametrize(
    "usage",
    [None, 5, {}, {"prompt_tokens": "9"}, {"prompt_tokens": -1, "completion_tokens": 3}, {"prompt_tokens": True}],
)
def test_counts_that_are_none(usage: Any) -> None:
    assert counted({"usage": usage}, Tokens(7, 8)) == Tokens(7, 8)
