"""The evaluation and the judge as clients that wait for little, so that a server that misbehaves is soon given up."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from finished_run import FinishedRun

from relation_core.progress import Silent
from relation_core.samples.samples import read_samples
from relation_tools.evaluation.journal import Journal
from relation_tools.evaluation.judge import Endpoint, JudgePatience
from relation_tools.evaluation.judging import judge_samples
from relation_tools.evaluation.run_folder import RunFolder
from relation_tools.evaluation.runner import Runner, RunOptions, RunSummary
from relation_tools.evaluation.server import Patience, Server
from relation_tools.evaluation.template import SHIPPED, load_template
from relation_tools.evaluation.transport import open_session

QUICK = RunOptions(attempts=2, losses=2, drops=3, first_pause=0.01, give_up=0.2)
PATIENCE = Patience(poll=0.01, request=0.5)
JUDGE = JudgePatience(attempts=2, first_pause=0.01, total=0.5)
SECRET = "hunter2-secret"  # noqa: S105 - what must not be shown


def evaluate(made: FinishedRun, folder: Path, address: str, count: int = 2) -> RunSummary:
    samples = list(read_samples(made.file))[:count]
    run = RunFolder(folder)
    run.open(made.file, SHIPPED, 1000)

    async def go(journal: Journal) -> RunSummary:
        async with open_session() as session:
            server = Server(address, session, PATIENCE)
            return await Runner(load_template(SHIPPED), run, journal, QUICK, Silent()).run(
                samples, made.file.parent, [server]
            )

    with Journal(run.journal) as journal:
        return asyncio.run(go(journal))


def judge(made: FinishedRun, folder: Path, address: str, count: int = 2) -> dict[int, str]:
    if not (folder / "results").exists():
        shutil.copytree(made.folder / "results", folder / "results")
    samples = list(read_samples(made.file))[:count]
    endpoint = Endpoint(address + "/v1", "critic", "" if SECRET in address else SECRET)
    return asyncio.run(judge_samples(samples, made.file.parent, RunFolder(folder), endpoint, Silent(), JUDGE))
