"""``python -m relation_tools evaluate``: run, score and report."""

from __future__ import annotations

import argparse
import asyncio
import logging
from pathlib import Path

from relation_core.samples.samples import Sample, read_samples
from relation_core.settings.bounds import COUNT, COUNT_OR_NONE, SECONDS, SEED
from relation_core.weights.atomic import appearing
from relation_core.weights.lock import alone_in

from ..evaluation.errors import EvaluationError
from ..evaluation.journal import Journal
from ..evaluation.metric_table import METRICS
from ..evaluation.report import ReportOptions, render_report
from ..evaluation.run_folder import RunFolder
from ..evaluation.runner import Runner, RunOptions, RunSummary
from ..evaluation.scores import read_scores
from ..evaluation.server import Server
from ..evaluation.template import SHIPPED, load_template
from ..evaluation.transport import open_session
from .bar import progress_bar
from .evaluate_score import EXTRA, add_score
from .extras import require
from .number_option import NumberOption

_LOG = logging.getLogger(__name__)


def add_commands(group: argparse.ArgumentParser) -> None:
    """Describe the commands."""
    commands = group.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run the samples of a file through ComfyUI servers")
    score = commands.add_parser("score", help="score the results against their targets")
    report = commands.add_parser("report", help="write the scores and the best and worst samples as one HTML page")
    for command in (run, score, report):
        command.add_argument("file", type=Path, metavar="FILE", help="a run-ready .jsonl, usually the test file")
        command.add_argument("folder", type=Path, metavar="FOLDER", help="where the results are kept")
    _add_run(run)
    add_score(score)
    defaults = ReportOptions()
    report.add_argument("page", type=Path, metavar="PAGE", help="the .html file to write")
    report.add_argument("--title", default=defaults.title, help="(%(default)s)")
    report.add_argument("--rank-by", choices=list(METRICS), default=defaults.ranked_by, help="(%(default)s)")
    report.add_argument(
        "--shown",
        type=NumberOption(COUNT_OR_NONE),
        default=defaults.shown,
        help="best and worst samples (%(default)s each)",
    )
    report.set_defaults(run=_report)


def _add_run(command: argparse.ArgumentParser) -> None:
    defaults = RunOptions()
    command.add_argument(
        "--workflow", type=Path, default=SHIPPED, help="a template in API form; see docs/evaluation.md (the pack's own)"
    )
    command.add_argument(
        "--server", action="append", required=True, help="address of a ComfyUI, such as 127.0.0.1:8188; repeatable"
    )
    command.add_argument("--limit", type=NumberOption(COUNT), help="only the first N samples")
    command.add_argument("--seed", type=NumberOption(SEED), default=defaults.seed, help="(%(default)s)")
    command.add_argument(
        "--attempts", type=NumberOption(COUNT), default=defaults.attempts, help="tries per sample (%(default)s)"
    )
    command.add_argument(
        "--give-up",
        type=NumberOption(SECONDS),
        default=defaults.give_up,
        help="seconds to wait for a lost server (%(default)s)",
    )
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    require(EXTRA, "aiohttp")
    samples = list(read_samples(options.file))[: options.limit]
    run = RunFolder(options.folder)
    template = load_template(options.workflow)
    settings = RunOptions(seed=options.seed, attempts=options.attempts, give_up=options.give_up)
    with alone_in(run.folder, "evaluating in"):
        run.open(options.file, options.workflow, options.seed)
        with Journal(run.journal) as journal, progress_bar("samples", EXTRA) as progress:
            runner = Runner(template, run, journal, settings, progress)
            found = asyncio.run(_run_on_servers(runner, samples, options.file.parent, options.server))
    _LOG.info("%d of %d samples have a result.", found.done, len(samples))
    for index, message in list(found.failed.items())[:10]:
        _LOG.info("Sample %d failed: %s", index, message)
    if found.failed:
        _LOG.info("%d samples failed; run again to try them again.", len(found.failed))
    return 1 if found.failed else 0


async def _run_on_servers(runner: Runner, samples: list[Sample], folder: Path, addresses: list[str]) -> RunSummary:
    async with open_session() as session:
        servers = [Server(address, session) for address in dict.fromkeys(addresses)]
        return await runner.run(samples, folder, servers)


def _report(options: argparse.Namespace) -> None:
    require(EXTRA, "jinja2")
    run = RunFolder(options.folder)
    run.check_samples(options.file)
    settings = ReportOptions(options.title, options.rank_by, options.shown)
    page = render_report(read_scores(run), list(read_samples(options.file)), options.file.parent, run, settings)
    try:
        with appearing(options.page) as part:
            part.write_text(page, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise EvaluationError(f"Cannot write '{options.page}': {error.strerror or error}.") from error
    _LOG.info("The report is in %s", options.page)
