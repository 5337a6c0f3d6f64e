"""``python -m relation_tools evaluate``: run, score and report."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from relation_core.samples.samples import read_samples
from relation_core.settings.bounds import COUNT_OR_NONE
from relation_core.weights.atomic import appearing

from ..evaluation.errors import EvaluationError
from ..evaluation.metric_table import METRICS
from ..evaluation.report import ReportOptions, render_report
from ..evaluation.run_folder import RunFolder
from ..evaluation.scores import read_scores
from .evaluate_run import add_run
from .evaluate_score import add_score
from .extras import require
from .number_option import NumberOption
from .scorers import EXTRA

_LOG = logging.getLogger(__name__)


def add_commands(group: argparse.ArgumentParser) -> None:
    """Describe the commands."""
    commands = group.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run the samples of a file, through ComfyUI servers or without them")
    score = commands.add_parser("score", help="score the results against their targets")
    report = commands.add_parser("report", help="write the scores and the best and worst samples as one HTML page")
    for command in (run, score, report):
        command.add_argument("file", type=Path, metavar="FILE", help="a run-ready .jsonl, usually the test file")
        command.add_argument("folder", type=Path, metavar="FOLDER", help="where the results are kept")
    add_run(run)
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
